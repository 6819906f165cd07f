// The referrals: filters, sorting, pages, rows.

import { call, csvParts } from "./api.js";
import { element, fill, find } from "./dom.js";
import { amount, day, number, relative, text, utc } from "./texts.js";

const pageSize = 50;
const types = ["co-sell", "marketplace", "solution-provider"];
const letters = { "co-sell": "C", marketplace: "M", "solution-provider": "S" };
const firstDirection = { company: "asc", expires: "asc", deal_value: "desc", updated: "desc" };

const view = { q: "", type: "", status: "", expiring: "", sort: "updated:desc" };
let cursors = [null];
let shown = 0;
let asking = null;
let onOpen = () => {};
let onRefused = () => {};

export function badge(type) {
  const kind = types.includes(type) ? type : "other";
  return element("span", { class: `badge ${kind}` },
    element("span", { class: `mark ${kind}`, "aria-hidden": "true" }, letters[kind] ?? "?"),
    text(`type_${kind}`));
}

export function stateBadge(status) {
  return element("span", { class: `state ${/^[A-Za-z]+$/.test(status ?? "") ? status : ""}` }, status ? text(`status_${status}`).replace(/^status_/, "") : "–");
}

export function expiry(referral) {
  if (!referral.expires_at) return element("span", { class: "none" }, "–");
  const left = referral.days_to_expiry;
  // Only an unanswered referral can still expire.
  const open = referral.status === "New" && !referral.missing_since;
  const words = left < 0 ? text("expired") : left === 0 ? text("expires_today") : left === 1 ? text("day_left") : text("days_left", { count: number(left) });
  const urgency = open && left <= 2 ? "soon" : open && left <= 7 ? "near" : "";
  return element("span", { title: utc(referral.expires_at) },
    element("span", { class: "nowrap" }, day(referral.expires_at)),
    open && element("span", { class: `below ${urgency}` }, words));
}

export function money(referral) {
  return amount(referral.deal_value, referral.currency) ?? element("span", { class: "none" }, "–");
}

function row(referral) {
  const name = referral.company_name ?? referral.name;
  return element("tr", { onclick: () => onOpen(referral.referral_id) },
    element("td", { "data-cell": "type" }, badge(referral.referral_type)),
    element("td", { "data-cell": "company" },
      element("button", { type: "button", class: `company${name ? "" : " none"}` }, name ?? text("no_company")),
      element("span", { class: `below${referral.domain ? "" : " none"}`, title: referral.domain }, referral.domain_readable ?? referral.domain ?? text("no_domain")),
      referral.missing_since && element("span", { class: "below near" }, text("missing_since", { when: day(referral.missing_since) }))),
    element("td", { "data-cell": "status" }, stateBadge(referral.status), referral.substatus && element("span", { class: "below" }, referral.substatus)),
    element("td", { class: "number", "data-cell": "value" }, money(referral)),
    element("td", { class: "nowrap", "data-cell": "closing" }, referral.closing_at ? element("span", { title: utc(referral.closing_at) }, day(referral.closing_at)) : element("span", { class: "none" }, "–")),
    element("td", { "data-cell": "expires" }, expiry(referral)),
    element("td", { class: "nowrap", "data-cell": "updated", title: utc(referral.pc_updated_at) }, referral.pc_updated_at ? relative(referral.pc_updated_at) : "–"));
}

function parameters() {
  const asked = new URLSearchParams();
  if (view.q) asked.set("q", view.q);
  if (view.type) asked.set("type", view.type);
  if (view.status) asked.set("status", view.status);
  if (view.expiring) asked.set("expiring_within_days", view.expiring);
  asked.set("sort", view.sort);
  return asked;
}

function isFiltered() {
  return Boolean(view.q || view.type || view.status || view.expiring);
}

function emptyWords(strong, hint, again) {
  fill(find("#empty"), element("strong", {}, strong), hint ?? "",
    again && element("p", {}, element("button", { type: "button", class: "button", onclick: () => load() }, text("retry"))));
  find("#empty").hidden = false;
}

export async function load({ quiet = false } = {}) {
  asking?.abort();
  const mine = new AbortController();
  asking = mine;
  const asked = parameters();
  asked.set("limit", String(pageSize));
  const cursor = cursors.at(-1);
  if (cursor) asked.set("cursor", cursor);
  if (!quiet) {
    find("#table-frame").setAttribute("aria-busy", "true");
    find("#page-back").disabled = true;
    find("#page-on").disabled = true;
  }
  let answer;
  try {
    answer = await call(`referrals?${asked}`, { signal: mine.signal });
  } catch {
    return;
  }
  if (asking !== mine) return;
  find("#table-frame").removeAttribute("aria-busy");
  if (!answer.ok) {
    if (answer.status === 401 || answer.status === 403) { onRefused(answer); return; }
    if (answer.status === 400 && cursor) { cursors = [null]; await load(); return; }
    if (quiet) return;
    fill(find("#rows"));
    emptyWords(text("load_failed"), answer.body.detail || text("unreachable"), true);
    return;
  }
  show(answer.body);
}

let last = null;

function show(answer) {
  last = answer;
  find("#referrals").hidden = false;
  const { referrals } = answer;
  fill(find("#rows"), referrals.map(row));
  find("#empty").hidden = referrals.length > 0;
  if (!referrals.length) {
    if (isFiltered()) emptyWords(text("empty_filtered"));
    else emptyWords(text("empty"), text("empty_hint"));
  }
  const from = (cursors.length - 1) * pageSize + 1;
  shown = from + referrals.length - 1;
  const values = { from: number(from), to: number(shown), total: number(answer.total ?? 0) };
  const words = answer.total === null ? "shown_plain" : answer.total_is_exact ? "shown" : "shown_more";
  find("#shown").textContent = referrals.length ? text(words, values) : "";
  find("#page-back").disabled = cursors.length < 2;
  find("#page-on").disabled = !answer.next_cursor;
  find("#csv-button").disabled = !referrals.length;
}

function reload() {
  cursors = [null];
  remember();
  showFilters();
  load();
}

function remember() {
  const asked = new URLSearchParams(Object.entries(view).filter(([name, value]) => value && !(name === "sort" && value === "updated:desc")));
  history.replaceState(null, "", asked.size ? `?${asked}` : location.pathname);
}

export function showFilters() {
  find("#filter-q").value = view.q;
  find("#filter-status").value = view.status;
  find("#filter-expiring").value = view.expiring;
  find("#filter-clear").hidden = !isFiltered();
  for (const button of document.querySelectorAll("#filter-type button")) {
    button.setAttribute("aria-pressed", String(button.dataset.value === view.type));
    if (button.dataset.value) fill(button, ...badge(button.dataset.value).childNodes);
  }
  const [column, direction] = view.sort.split(":");
  for (const head of document.querySelectorAll("th[data-sort]")) {
    if (head.dataset.sort === column) head.setAttribute("aria-sort", direction === "asc" ? "ascending" : "descending");
    else head.removeAttribute("aria-sort");
  }
  if (last) show(last);
}

async function saveCsv() {
  const button = find("#csv-button");
  button.disabled = true;
  try {
    const file = await csvParts(`referrals?${parameters()}&format=csv`, (count) => { button.textContent = text("csv_busy", { count: number(count) }); });
    if (file) {
      const address = URL.createObjectURL(file);
      const link = element("a", { href: address, download: `partner-center-referrals-${new Date().toISOString().slice(0, 10)}.csv` });
      link.click();
      setTimeout(() => URL.revokeObjectURL(address), 60000);
    }
  } finally {
    button.disabled = false;
    button.textContent = text("csv");
  }
}

export function start({ open, refused }) {
  onOpen = open;
  onRefused = refused;
  const wished = new URLSearchParams(location.search);
  for (const name of Object.keys(view)) view[name] = wished.get(name) ?? view[name];
  if (!/^(company|expires|deal_value|updated|created|synced):(asc|desc)$/.test(view.sort)) view.sort = "updated:desc";
  let typing;
  find("#filter-q").addEventListener("input", (event) => {
    clearTimeout(typing);
    typing = setTimeout(() => { view.q = event.target.value.trim(); reload(); }, 250);
  });
  find("#filter-type").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) { view.type = button.dataset.value; reload(); }
  });
  find("#filter-status").addEventListener("change", (event) => { view.status = event.target.value; reload(); });
  find("#filter-expiring").addEventListener("change", (event) => { view.expiring = event.target.value; reload(); });
  find("#filter-clear").addEventListener("click", () => { Object.assign(view, { q: "", type: "", status: "", expiring: "" }); reload(); });
  for (const head of document.querySelectorAll("th[data-sort]")) {
    head.querySelector("button").addEventListener("click", () => {
      const [column, direction] = view.sort.split(":");
      const name = head.dataset.sort;
      view.sort = `${name}:${column === name ? (direction === "asc" ? "desc" : "asc") : firstDirection[name]}`;
      reload();
    });
  }
  find("#page-on").addEventListener("click", () => { cursors.push(last.next_cursor); load(); find("#referrals").scrollIntoView(); });
  find("#page-back").addEventListener("click", () => { cursors.pop(); load(); find("#referrals").scrollIntoView(); });
  find("#csv-button").addEventListener("click", saveCsv);
  showFilters();
}
