// What needs a person today, and what to do about it.

import * as address from "./address.js";
import { call } from "./api.js";
import { badge, button, daysLeft, money, sinceCell, word } from "./cells.js";
import { element, fill, find, recall, remember, renew } from "./dom.js";
import { failed } from "./explain.js";
import { dateTime, day, language, number, text } from "./texts.js";

const seenKey = "partner-center-last-seen";
const sinceKey = "partner-center-visit-since";
const visitGapMs = 30 * 60 * 1000;

let answer = null;
let status = null;
let onOpen = () => {};
let onQuarantine = () => {};

// A visit ends when nobody has looked for half an hour; what came since then is new to the next one.
export function noteVisit(nowAt) {
  const seenAt = recall(seenKey);
  if (seenAt && Date.parse(nowAt) - Date.parse(seenAt) > visitGapMs) remember(sinceKey, seenAt);
  if (!document.hidden) remember(seenKey, nowAt);
}

export function visitSince() {
  return recall(sinceKey);
}

// -- One kind ---------------------------------------------------------------------------------

const missingParts = { deal_value: "deal_value", currency: "currency", closing_at: "field_closing_at", company_name: "company", customer_country: "country" };

function reason(kind, referral) {
  if (kind === "expiring") return element("span", { class: referral.days_to_expiry <= 1 ? "soon" : "near" }, daysLeft(referral));
  if (kind === "new") return sinceCell(referral.first_seen_at);
  if (kind === "won_early") return referral.closed_at ? text("won_on", { when: day(referral.closed_at) }) : "";
  if (kind === "incomplete") {
    const parts = Object.keys(missingParts).filter((name) => referral[name] === null).map((name) => text(missingParts[name]).toLocaleLowerCase(language));
    return text("lacks", { parts: parts.join(", ") });
  }
  return referral.substatus ? word("substatus", referral.substatus) : "";
}

function item(kind, referral) {
  const name = referral.company_name ?? referral.name;
  return element("li", {}, element("button", { type: "button", class: "item", "data-id": `${kind} ${referral.referral_id}`, onclick: () => onOpen(referral.referral_id) },
    badge(referral.referral_type),
    element("span", { class: "item-name" }, name ?? text("no_company"), element("span", { class: "below" }, referral.domain_readable ?? text("no_domain"))),
    element("span", { class: "item-value" }, money(referral)),
    element("span", { class: "item-reason" }, reason(kind, referral))));
}

function totalOf(kind) {
  return kind.total_is_exact ? number(kind.total) : text("more_than", { count: number(kind.total) });
}

function panel(kind) {
  const values = { when: visitSince() ? dateTime(visitSince()) : text("a_day_ago") };
  const rest = kind.total > kind.referrals.length || !kind.total_is_exact;
  return element("article", { class: `panel attention-kind ${kind.kind}`, "aria-labelledby": `attention-${kind.kind}` },
    element("div", { class: "panel-head" },
      element("h2", { id: `attention-${kind.kind}` }, text(`attention_${kind.kind}`), " ", element("span", { class: "count" }, totalOf(kind))),
      element("p", { class: "quiet" }, text(`attention_${kind.kind}_hint`, values))),
    element("ul", { class: "items" }, kind.referrals.map((referral) => item(kind.kind, referral))),
    rest && element("p", { class: "panel-foot" }, button(text("show_all", { count: totalOf(kind) }), () => address.go({ view: "referrals", referral: null, filters: { ...address.noFilters, attention: kind.kind, sort: kind.kind === "expiring" ? "expires:asc" : "" } }))));
}

function quarantinePanel() {
  const { open } = status.quarantine;
  if (!open) return null;
  return element("article", { class: "panel attention-kind quarantine", "aria-labelledby": "attention-quarantine" },
    element("div", { class: "panel-head" },
      element("h2", { id: "attention-quarantine" }, text("quarantine_title"), " ", element("span", { class: "count" }, number(open))),
      element("p", { class: "quiet" }, text("alarm_quarantine_hint"))),
    status.role === "operator" && element("p", { class: "panel-foot" }, button(text("show"), onQuarantine)));
}

// -- The view ---------------------------------------------------------------------------------

export function show() {
  const place = find("#attention");
  if (place.hidden) { fill(place); return; }
  if (!answer) { fill(place, element("p", { class: "panel empty", role: "status" }, text("loading"))); return; }
  if (!answer.ok) { fill(place, element("div", { class: "panel empty" }, element("strong", {}, text("load_failed")), failed(answer), button(text("retry"), () => load()))); return; }
  const shown = [...answer.body.kinds.filter((kind) => kind.total > 0).map(panel), status ? quarantinePanel() : null].filter(Boolean);
  const focused = document.activeElement?.closest("#attention [data-id]")?.dataset.id;
  renew(place, shown.length ? shown : element("div", { class: "panel empty", role: "status" }, element("strong", {}, text("attention_none")), text("attention_none_hint")));
  if (focused) find(`#attention [data-id="${CSS.escape(focused)}"]`)?.focus();
}

export async function load() {
  const since = visitSince();
  const asked = await call(`attention${since ? `?seen_since=${encodeURIComponent(since)}` : ""}`);
  if (asked.status === 401 || asked.status === 403) return;
  if (asked.ok || !answer?.ok) answer = asked;
  showCount();
  show();
}

function showCount() {
  // News are to be read, not to be done. One referral may be of several kinds.
  const kinds = answer?.ok ? answer.body.kinds.filter((kind) => kind.kind !== "new") : [];
  const count = kinds.reduce((sum, kind) => sum + kind.total, answer?.ok ? status?.quarantine.open ?? 0 : 0);
  const more = kinds.every((kind) => kind.total_is_exact) ? "" : "+";
  find("#attention-count").hidden = count === 0;
  renew(find("#attention-count"), number(count) + more, element("span", { class: "hidden-text" }, ` ${text("attention_points", { count })}`));
}

export function setStatus(found) {
  status = found;
  showCount();
}

export function start({ open, quarantine }) {
  onOpen = open;
  onQuarantine = quarantine;
}
