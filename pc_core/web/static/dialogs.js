// What opens over the page: one referral, one run, sign-in, key, acceptance.

import { call, setKey } from "./api.js";
import { away, badge, button, canExpire, copyButton, dayCell, daysLeft, money, partnerCenter, readable, sinceCell, stateBadge, word } from "./cells.js";
import { closeDialog, element, fill, isDialogOpen, openDialog } from "./dom.js";
import { details as serverWords, failed, trouble } from "./explain.js";
import { clock, companySize, countryName, dateTime, day, duration, has, number, text, utc } from "./texts.js";

const open = (options, ...body) => openDialog({ closeWord: text("close"), ...options }, ...body);

function fact(name, value, title) {
  if (value === null || value === undefined || value === "") return null;
  return element("div", {}, element("dt", {}, text(name)), element("dd", { title }, value));
}

function factAt(name, instant) {
  return instant ? fact(name, element("time", { datetime: instant, title: utc(instant) }, dateTime(instant))) : null;
}

// -- One referral -----------------------------------------------------------------------------

const textOr = (value) => (typeof value === "string" && value.trim() ? value.trim() : null);

function person(someone) {
  if (someone === null || typeof someone !== "object") return null;
  const name = [textOr(someone.firstName), textOr(someone.lastName)].filter(Boolean).join(" ");
  const [title, email, phone] = [someone.title, someone.email, someone.phoneNumber].map(textOr);
  return element("li", {},
    element("div", {}, element("strong", {}, name || "–"), title && element("span", { class: "below" }, title)),
    element("div", { class: "ways" },
      email && element("span", {}, email, " ", copyButton(text("copy"), email, "tiny")),
      phone && element("span", {}, phone, " ", copyButton(text("copy"), phone, "tiny"))));
}

function people(list) {
  const shown = Array.isArray(list) ? list.map(person).filter(Boolean) : [];
  return shown.length ? element("ul", { class: "people" }, shown) : element("p", { class: "none" }, text("none"));
}

// -- What a field held, in words

const words = {
  referral_type: (of) => text(`type_${of}`), category: (of) => word("category", of), status: (of) => word("status", of), substatus: (of) => word("substatus", of),
  direction: (of) => word("direction", of), qualification: (of) => word("qualification", of), type: (of) => word("wire_type", of),
  registration_status: (of) => word("registration", of), sales_stage: (of) => word("stage", of), classification_rule: (of) => word("rule", of),
  domain_source: (of) => word("source", of), customer_size: companySize, customer_country: countryName, deal_value: number,
};

function whoTheyAre(list) {
  return list.map((someone) => [someone?.firstName, someone?.lastName, someone?.email].map(textOr).filter(Boolean).join(" ") || "–").join(", ");
}

function value(field, of) {
  if (of === null || of === undefined) return element("span", { class: "none" }, "–");
  if (Array.isArray(of) && (field === "contacts" || field === "team")) return of.length ? whoTheyAre(of) : element("span", { class: "none" }, "–");
  if (typeof of === "object") return JSON.stringify(of);
  if (/(_at|_since)$/.test(field) && !Number.isNaN(Date.parse(of))) return element("time", { datetime: of, title: utc(of) }, dateTime(of));
  return words[field] ? words[field](of) : String(of);
}

function history(changes) {
  if (!changes.length) return element("p", { class: "none" }, text("no_history"));
  return element("div", { class: "table-frame", tabindex: 0, role: "region", "aria-label": text("history") }, element("table", {},
    element("thead", {}, element("tr", {}, ["when", "field", "before", "after"].map((name) => element("th", { scope: "col" }, text(name))))),
    element("tbody", {}, changes.map((change) => element("tr", {},
      element("td", {}, sinceCell(change.changed_at)),
      element("td", {}, word("field", change.field)),
      element("td", { class: "before" }, value(change.field, change.before)), element("td", { class: "after" }, value(change.field, change.after)))))));
}

function requirements(details) {
  const kinds = Object.entries(details.requirements);
  const consents = Object.entries(details.consents);
  if (!kinds.length && !consents.length && !details.registrations.length) return element("p", { class: "none" }, text("none"));
  return element("dl", { class: "facts" },
    kinds.map(([kind, names]) => element("div", {}, element("dt", {}, word("requirement", kind)), element("dd", {}, names.map(readable).join(", ")))),
    consents.map(([name, given]) => element("div", {}, element("dt", {}, word("consent", name)), element("dd", {}, text(given ? "yes" : "no")))),
    details.registrations.map((registration) => element("div", {}, element("dt", {}, text("registration")), element("dd", {}, registration.status ? word("registration", registration.status) : "–"))));
}

// `wanted` says whether it still is when the answer comes; `closed` is told when the dialog has
// gone; `company` leads to all referrals of a domain.
export async function referralDialog(id, { wanted, closed, company }) {
  open({ title: text("loading"), closed }, element("p", { class: "quiet", role: "status" }, text("loading_referral")));
  const answer = await call(`referrals/${encodeURIComponent(id)}`);
  if (!wanted()) return;
  if (!answer.ok) {
    open({ title: text(answer.status === 404 ? "not_stored" : "load_failed"), small: true, closed }, answer.status === 404 ? element("p", {}, text("not_stored_hint", { id })) : failed(answer));
    return;
  }
  const { referral, details, history: changes, history_is_complete: complete } = answer.body;
  const raw = element("div", {});
  const showRaw = button(text("raw"), async () => {
    const more = await call(`referrals/${encodeURIComponent(id)}?include_raw=true`);
    if (!more.ok) { fill(raw, failed(more)); return; }
    const content = JSON.stringify(more.body.raw_data, null, 2);
    fill(raw, element("p", { class: "dialog-actions" }, copyButton(text("copy_raw"), content)), element("pre", { tabindex: 0, role: "region", "aria-label": text("raw") }, content));
  });
  const left = canExpire(referral) && element("span", { class: referral.days_to_expiry <= 2 ? "soon" : "near" }, daysLeft(referral));
  const aside = element("p", {}, badge(referral.referral_type), " ", stateBadge(referral.status), referral.substatus ? element("span", {}, word("substatus", referral.substatus)) : null, left);
  const link = away(partnerCenter(referral.referral_id), text("open_pc"));
  link.className = "button primary";
  open({ title: referral.company_name ?? referral.name ?? text("no_company"), aside, closed },
    element("div", { class: "dialog-actions start" }, link,
      copyButton(text("copy_link"), location.href), copyButton(text("copy_id"), referral.referral_id),
      referral.domain && copyButton(text("copy_domain"), referral.domain),
      referral.domain && button(text("whole_company"), () => company(referral.domain))),
    referral.missing_since && element("p", { class: "notice attention" }, text("missing_since", { when: day(referral.missing_since) })),
    details.notes && element("blockquote", {}, details.notes),
    element("dl", { class: "facts" },
      fact("deal_name", referral.name), fact("deal_value", money(referral)), fact("closing", referral.closing_at && dayCell(referral.closing_at)),
      factAt("field_expires_at", referral.expires_at),
      fact("domain", referral.domain_readable ?? element("span", { class: "none" }, text("no_domain"))), fact("domain_source", referral.domain_source && word("source", referral.domain_source)),
      fact("country", referral.customer_country && countryName(referral.customer_country)), fact("city", referral.customer_city), fact("size", referral.customer_size && companySize(referral.customer_size)),
      fact("direction", referral.direction && word("direction", referral.direction)), fact("qualification", referral.qualification && word("qualification", referral.qualification)), fact("category", referral.category && word("category", referral.category)),
      fact("sales_stage", referral.sales_stage && word("stage", referral.sales_stage)), fact("registration", referral.registration_status && word("registration", referral.registration_status)),
      fact("rule", referral.classification_rule && word("rule", referral.classification_rule)), fact("status_reason", referral.status_reason),
      fact("invited_by", details.invited_by), fact("invitation_notes", details.invitation_notes), fact("source", details.source)),
    element("h3", {}, text("contacts")), people(referral.contacts),
    element("h3", {}, text("team")), people(referral.team),
    element("h3", {}, text("requirements")), requirements(details),
    element("h3", {}, text("dates")),
    element("dl", { class: "facts" },
      factAt("created", referral.pc_created_at), factAt("accepted", referral.accepted_at), factAt("closed", referral.closed_at),
      factAt("updated", referral.pc_updated_at), factAt("first_seen", referral.first_seen_at), factAt("synced", referral.synced_at),
      fact("reference", referral.external_reference_id), fact("engagement", referral.engagement_id), fact("referral_id", referral.referral_id)),
    element("h3", {}, text("history")), history(changes), complete ? null : element("p", { class: "quiet" }, text("more_history")),
    element("div", { class: "dialog-actions" }, showRaw), raw);
}

// -- One run ----------------------------------------------------------------------------------

const runCounts = ["fetched", "inserted", "updated", "unchanged", "skipped", "quarantined", "drift", "unclear", "backfilled", "changed_silently", "domain_not_found", "pages", "requests", "retries"];
// Rare: named only where there are any.
const rareCounts = ["marked_missing", "reappeared", "recomputed"];

export function reasonWords(reason) {
  if (has(`skip_${reason}`)) return text(`skip_${reason}`);
  const status = reason.match(/^status_(.+)$/)?.[1];
  return status ? text("skip_status", { status }) : reason;
}

export function reasonList(reasons) {
  const found = Object.entries(reasons ?? {});
  return found.length ? [element("p", { class: "quiet" }, text("left_out")), element("ul", {}, found.map(([reason, count]) => element("li", {}, `${reasonWords(reason)}: ${number(count)}`)))] : [];
}

// `status=Paused` is a value that is new to this version, `status missing` one that did not come.
function valueWords(name) {
  const [, field, rest] = name.match(/^(\w+)(?:=(.*)| missing)$/s) ?? [];
  if (!field) return name;
  return text(rest === undefined ? "value_missing" : "value_new", { name: word("field", field), value: rest });
}

export function runDialog(run) {
  open({ title: text("run_title", { when: dateTime(run.started_at) }), aside: element("p", { class: "quiet" }, word("state", run.state), " · ", word("running_trigger", run.trigger), " · ", word("mode", run.mode)) },
    run.error && element("div", { class: "notice failing" }, element("div", {}, trouble(run.error.code, run.error.message))),
    element("dl", { class: "facts" },
      fact("run_duration", run.duration_s === null ? "–" : duration(run.duration_s)),
      runCounts.filter((name) => run[name] !== undefined && run[name] !== null).map((name) => fact(`count_${name}`, number(run[name]))),
      rareCounts.filter((name) => run[name]).map((name) => fact(`count_${name}`, number(run[name])))),
    reasonList(run.skipped_reasons),
    Object.keys(run.unknown_values ?? {}).length ? [element("p", { class: "quiet" }, text("unknown_values")), element("ul", {}, Object.entries(run.unknown_values).map(([name, count]) => element("li", {}, `${valueWords(name)}: ${number(count)}`)))] : null,
    element("dl", { class: "facts" },
      factAt("run_started", run.started_at), factAt("run_finished", run.finished_at), factAt("run_head", run.head_completed_at),
      factAt("run_sweep", run.sweep_completed_at), factAt("run_watermark", run.watermark_at), fact("task_id", run.task_id)),
    element("div", { class: "dialog-actions" }, copyButton(text("copy_task_id"), run.task_id)));
}

// -- Sign-in to Partner Center ----------------------------------------------------------------

// Only an address that a browser may open safely becomes a link; plain http is for this machine.
function webAddress(address) {
  return /^(https:\/\/|http:\/\/(localhost|127\.0\.0\.1)[:/])/.test(address) ? address : null;
}

export async function signInDialog({ done }) {
  let timer = null;
  let ticking = null;
  let over = false;
  const stop = () => { over = true; clearTimeout(timer); clearInterval(ticking); };
  const again = () => { stop(); closeDialog(); signInDialog({ done }); };
  open({ title: text("sign_in_title"), small: true }, element("p", { class: "quiet", role: "status" }, text("sign_in_starting")));
  const started = await call("sign-in", { method: "POST", body: {} });
  if (!isDialogOpen()) return;
  if (!started.ok) { open({ title: text("sign_in_title"), small: true }, failed(started), element("div", { class: "dialog-actions" }, button(text("sign_in_again"), again))); return; }
  const flow = started.body;
  const state = element("div", { role: "status" }, element("p", { class: "waiting" }, element("span", { class: "spinner on", "aria-hidden": "true" }), text("sign_in_waiting")));
  const left = element("span", { role: "timer" });
  const code = element("div", {},
    element("ol", { class: "steps" }, element("li", {}, text("sign_in_step_open")), element("li", {}, text("sign_in_step_code")), element("li", {}, text("sign_in_step_account"))),
    element("div", { class: "code", "aria-label": text("sign_in_code", { code: [...flow.user_code].join(" ") }), role: "img" }, flow.user_code),
    element("div", { class: "dialog-actions" }, copyButton(text("copy_code"), flow.user_code), copyButton(text("copy_address"), flow.verification_uri),
      element("a", { class: "button primary", target: "_blank", rel: "noopener noreferrer", href: webAddress(flow.verification_uri) }, text("sign_in_open"))),
    element("p", { class: "quiet" }, flow.verification_uri, " · ", left));
  open({ title: text("sign_in_title"), small: true, closed: stop }, code, state);

  function tick() {
    const seconds = Math.max(0, Math.round((Date.parse(flow.expires_at) - Date.now()) / 1000));
    left.textContent = text("sign_in_left", { left: `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`, when: clock(flow.expires_at) });
  }
  tick();
  ticking = setInterval(tick, 1000);

  function end(...content) {
    clearInterval(ticking);
    code.remove();
    fill(state, ...content);
  }
  function show(answer) {
    const { body } = answer;
    if (answer.ok && body.state === "pending") { wait(); return; }
    if (answer.ok && body.state === "completed") {
      end(element("p", { class: "verdict good" }, text("sign_in_done", { name: body.account ?? "" })),
        body.may_read_referrals === true && element("p", {}, text("sign_in_may_read")),
        element("p", { class: "quiet" }, text("sign_in_next")),
        element("div", { class: "dialog-actions" }, button(text("close"), closeDialog, "primary")));
      done();
    } else if (answer.ok && body.state === "needs_confirmation") {
      end(element("p", {}, text("sign_in_other", { name: body.account ?? "" })),
        element("div", { class: "dialog-actions" }, button(text("cancel"), closeDialog), button(text("sign_in_confirm"), () => poll(body.account), "primary")));
    } else if (answer.status === 0 || answer.status === 503) {
      wait();
    } else {
      const words = has(`sign_in_${body.state}`) ? `sign_in_${body.state}` : "sign_in_failed";
      end(element("p", { class: "error" }, text(words)),
        words === "sign_in_failed" ? element("div", {}, trouble(body.reason_code ?? body.code, body.message ?? body.detail)) : serverWords(null, body.message),
        element("div", { class: "dialog-actions" }, button(text("sign_in_again"), again, "primary")));
    }
  }
  async function poll(confirmed) {
    if (over) return;
    const answer = confirmed
      ? await call("sign-in", { method: "POST", body: { id: flow.id, confirm_account: confirmed } })
      : await call(`sign-in/${encodeURIComponent(flow.id)}`);
    if (!over) show(answer);
  }
  function wait() {
    timer = setTimeout(() => poll(), Math.max(1, flow.interval_s) * 1000);
  }
  wait();
}

// -- Acceptance and key -----------------------------------------------------------------------

export function acceptDialog({ accept }) {
  open({ title: text("accept_title"), small: true }, element("p", {}, text("accept_hint")),
    element("div", { class: "dialog-actions" }, button(text("cancel"), closeDialog), button(text("accept_confirm"), () => { closeDialog(); accept(); }, "primary")));
}

export function askForKey({ wrong, done }) {
  const input = element("input", { type: "password", id: "key", autocomplete: "off", required: true, "aria-describedby": "key-hint" });
  const enter = (event) => {
    event.preventDefault();
    if (!input.value.trim()) return;
    setKey(input.value.trim());
    closeDialog();
    done();
  };
  open({ title: text("key_title"), small: true },
    element("form", { onsubmit: enter },
      element("p", { id: "key-hint" }, text("key_hint")),
      wrong ? element("p", { class: "error", role: "alert" }, text("key_wrong")) : null,
      element("label", {}, element("span", { class: "field-name" }, text("key_label")), input),
      element("div", { class: "dialog-actions" }, element("button", { type: "submit", class: "button primary" }, text("key_enter")))));
  input.focus();
}
