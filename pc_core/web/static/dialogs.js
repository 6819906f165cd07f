// What opens over the page: one referral, the runs, the quarantine, sign-in, key, acceptance.

import { call, setKey } from "./api.js";
import { closeDialog, element, fill, openDialog } from "./dom.js";
import { badge, expiry, money, stateBadge } from "./table.js";
import { clock, day, has, number, relative, text, utc } from "./texts.js";

const open = (options, ...body) => openDialog({ closeWord: text("close"), ...options }, ...body);

function button(word, press, kind = "") {
  return element("button", { type: "button", class: `button ${kind}`, onclick: press }, word);
}

function copyButton(word, value) {
  return button(word, async (event) => {
    const pressed = event.currentTarget;
    await navigator.clipboard.writeText(value);
    pressed.textContent = text("copied");
    setTimeout(() => { pressed.textContent = word; }, 1500);
  });
}

function fact(name, value, title) {
  if (value === null || value === undefined || value === "") return null;
  return element("div", {}, element("dt", {}, text(name)), element("dd", { title }, value));
}

function factAt(name, instant) {
  return instant ? fact(name, day(instant), utc(instant)) : null;
}

const failed = (answer) => element("p", { class: "error" }, answer.body.detail || answer.body.code || text("unreachable"));

// -- One referral -----------------------------------------------------------------------------

function person(someone) {
  const name = [someone.firstName, someone.lastName].filter((part) => typeof part === "string" && part.trim()).join(" ");
  const lines = [someone.title, someone.email, someone.phoneNumber].filter((line) => typeof line === "string" && line);
  return element("li", {}, element("strong", {}, name || "–"), lines.length ? element("span", { class: "below" }, lines.join(" · ")) : null);
}

function people(list) {
  return list.length ? element("ul", { class: "people" }, list.map(person)) : element("p", { class: "none" }, text("none"));
}

function value(of) {
  if (of === null || of === undefined) return element("span", { class: "none" }, "–");
  return typeof of === "object" ? JSON.stringify(of) : String(of);
}

function history(changes) {
  if (!changes.length) return element("p", { class: "none" }, text("none"));
  return element("div", { class: "table-frame" }, element("table", {},
    element("thead", {}, element("tr", {}, ["when", "field", "before", "after"].map((name) => element("th", { scope: "col" }, text(name))))),
    element("tbody", {}, changes.map((change) => element("tr", {},
      element("td", { class: "nowrap", title: utc(change.changed_at) }, relative(change.changed_at)),
      element("td", {}, has(change.field) ? text(change.field) : change.field),
      element("td", {}, value(change.before)), element("td", {}, value(change.after)))))));
}

export async function referralDialog(id) {
  const answer = await call(`referrals/${encodeURIComponent(id)}`);
  if (!answer.ok) { open({ title: id, small: true }, failed(answer)); return; }
  const { referral, history: changes, history_is_complete: complete } = answer.body;
  const raw = element("div", {});
  const showRaw = button(text("raw"), async () => {
    const more = await call(`referrals/${encodeURIComponent(id)}?include_raw=true`);
    fill(raw, more.ok ? element("pre", {}, JSON.stringify(more.body.raw_data, null, 2)) : failed(more));
  });
  const aside = element("p", {}, badge(referral.referral_type), " ", stateBadge(referral.status), referral.substatus ? ` · ${referral.substatus}` : "");
  open({ title: referral.company_name ?? referral.name ?? text("no_company"), aside },
    element("dl", { class: "facts" },
      fact("detail_facts", referral.name), fact("deal_value", money(referral)), factAt("closing", referral.closing_at),
      referral.expires_at ? fact("expires", expiry(referral)) : null,
      fact("domain", referral.domain_readable), fact("domain_source", referral.domain_source),
      fact("country", referral.customer_country), fact("city", referral.customer_city), fact("size", referral.customer_size),
      fact("direction", referral.direction), fact("qualification", referral.qualification), fact("category", referral.category),
      fact("rule", referral.classification_rule), fact("status_reason", referral.status_reason),
      factAt("created", referral.pc_created_at), factAt("accepted", referral.accepted_at), factAt("closed", referral.closed_at),
      factAt("updated", referral.pc_updated_at), factAt("first_seen", referral.first_seen_at), factAt("synced", referral.synced_at),
      fact("reference", referral.external_reference_id), fact("engagement", referral.engagement_id)),
    element("h3", {}, text("contacts")), people(referral.contacts),
    element("h3", {}, text("team")), people(referral.team),
    element("h3", {}, text("history")), history(changes), complete ? null : element("p", { class: "quiet" }, text("more_history")),
    element("div", { class: "dialog-actions" }, showRaw, copyButton(text("copy_id"), referral.referral_id),
      element("a", { class: "button", target: "_blank", rel: "noopener noreferrer", href: `https://partner.microsoft.com/dashboard/referrals/${encodeURIComponent(referral.referral_id)}` }, text("open_pc"))),
    raw);
}

// -- Runs -------------------------------------------------------------------------------------

const runLevels = { failed: "failing", interrupted: "attention", partial: "attention", completed: "Active", running: "New" };

function runRow(run) {
  return element("tr", {},
    element("td", { class: "nowrap", title: utc(run.started_at) }, relative(run.started_at)),
    element("td", { title: run.task_id }, element("span", { class: `state ${runLevels[run.state] ?? ""}` }, text(`state_${run.state}`)),
      run.error ? element("span", { class: "below", title: run.error.message }, run.error.code) : null),
    element("td", {}, text(`running_trigger_${run.trigger}`)),
    ["fetched", "inserted", "updated", "skipped"].map((name) => element("td", { class: "number" }, number(run[name]))),
    element("td", { class: "number" }, run.duration_s === null ? "–" : text("seconds", { count: number(run.duration_s) })));
}

export async function runsDialog() {
  const rows = element("tbody", {});
  const more = button(text("more"), () => load());
  let cursor = null;
  async function load() {
    const answer = await call(`sync-runs?limit=20${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
    if (!answer.ok) { more.replaceWith(failed(answer)); return; }
    rows.append(...answer.body.runs.map(runRow));
    cursor = answer.body.next_cursor;
    more.hidden = !cursor;
    if (!rows.childElementCount) rows.append(element("tr", {}, element("td", { colspan: 8, class: "none" }, text("no_runs"))));
  }
  await load();
  const heads = ["run_started", "run_state", "run_trigger", "run_fetched", "run_new", "run_updated", "run_skipped", "run_duration"];
  open({ title: text("runs_title") },
    element("div", { class: "table-frame" }, element("table", {},
      element("thead", {}, element("tr", {}, heads.map((name, place) => element("th", { scope: "col", class: place > 2 ? "number" : null }, text(name))))), rows)),
    element("div", { class: "dialog-actions" }, more));
}

// -- Quarantine -------------------------------------------------------------------------------

export async function quarantineDialog({ done }) {
  const answer = await call("quarantine?limit=100");
  if (!answer.ok) { open({ title: text("quarantine_title"), small: true }, failed(answer)); return; }
  const { entries } = answer.body;
  const outcome = element("p", { class: "quiet", role: "status" });
  const replay = button(text("replay"), async (event) => {
    event.target.disabled = true;
    const replayed = await call("quarantine/replay", { method: "POST", body: {} });
    await quarantineDialog({ done });
    done();
    if (!replayed.ok) document.querySelector("#dialog .dialog-body").prepend(failed(replayed));
  }, "primary");
  open({ title: text("quarantine_title") },
    entries.length === 0 ? element("p", { class: "quiet" }, text("quarantine_empty")) : element("div", { class: "table-frame" }, element("table", {},
      element("thead", {}, element("tr", {}, ["referral_id", "quarantine_reason", "quarantine_field", "quarantine_since"].map((name) => element("th", { scope: "col" }, text(name))))),
      element("tbody", {}, entries.map((entry) => element("tr", {},
        element("td", {}, entry.referral_id ?? "–"),
        element("td", {}, entry.reason, element("span", { class: "below" }, entry.detail)),
        element("td", {}, entry.field ?? "–"),
        element("td", { class: "nowrap", title: utc(entry.first_seen_at) }, relative(entry.first_seen_at))))))),
    outcome, entries.length ? element("div", { class: "dialog-actions" }, replay) : null);
}

// -- Sign-in to Partner Center ----------------------------------------------------------------

// Only an address that a browser may open safely becomes a link; plain http is for this machine.
function webAddress(address) {
  return /^(https:\/\/|http:\/\/(localhost|127\.0\.0\.1)[:/])/.test(address) ? address : null;
}

export async function signInDialog({ done }) {
  let timer = null;
  let over = false;
  const started = await call("sign-in", { method: "POST", body: {} });
  const stop = () => { over = true; clearTimeout(timer); };
  const again = () => { stop(); closeDialog(); signInDialog({ done }); };
  if (!started.ok) { open({ title: text("sign_in_title"), small: true }, failed(started)); return; }
  const flow = started.body;
  const state = element("div", { role: "status" }, element("p", { class: "quiet" }, text("sign_in_waiting", { when: clock(flow.expires_at) })));
  open({ title: text("sign_in_title"), small: true, closed: stop },
    element("p", {}, text("sign_in_hint")),
    element("div", { class: "code" }, flow.user_code),
    element("div", { class: "dialog-actions" }, copyButton(text("copy"), flow.user_code),
      element("a", { class: "button primary", target: "_blank", rel: "noopener noreferrer", href: webAddress(flow.verification_uri) }, text("sign_in_open"))),
    element("p", { class: "quiet" }, flow.verification_uri), state);

  function show(answer) {
    const { body } = answer;
    if (answer.ok && body.state === "pending") { wait(); return; }
    if (answer.ok && body.state === "completed") {
      fill(state, element("p", {}, element("strong", {}, text("sign_in_done", { name: body.account ?? "" }))));
      done();
    } else if (answer.ok && body.state === "needs_confirmation") {
      fill(state, element("p", {}, text("sign_in_other", { name: body.account })),
        element("div", { class: "dialog-actions" }, button(text("cancel"), closeDialog), button(text("sign_in_confirm"), () => poll(body.account), "primary")));
    } else if (answer.status === 0 || answer.status === 503) {
      wait();
    } else {
      fill(state, element("p", { class: "error" }, text("sign_in_failed")), element("p", {}, body.message ?? body.detail ?? ""),
        element("div", { class: "dialog-actions" }, button(text("sign_in_again"), again)));
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

export function askForKey({ wrong, done, closed }) {
  const input = element("input", { type: "password", id: "key", autocomplete: "off", required: true, "aria-describedby": "key-hint" });
  const enter = (event) => {
    event.preventDefault();
    if (!input.value.trim()) return;
    setKey(input.value.trim());
    closeDialog();
    done();
  };
  open({ title: text("key_title"), small: true, closed },
    element("form", { onsubmit: enter },
      element("p", { id: "key-hint" }, text("key_hint")),
      wrong ? element("p", { class: "error", role: "alert" }, text("key_wrong")) : null,
      element("label", {}, element("span", { class: "hidden-text" }, text("key_label")), input),
      element("div", { class: "dialog-actions" }, element("button", { type: "submit", class: "button primary" }, text("key_enter")))));
  input.focus();
}
