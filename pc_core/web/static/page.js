// The page as a whole: who is here, how the sync stands, and what can be done about it.

import { call, forgetKey, hasKey } from "./api.js";
import { askForKey, acceptDialog, quarantineDialog, referralDialog, runsDialog, signInDialog } from "./dialogs.js";
import { element, fill, find } from "./dom.js";
import * as table from "./table.js";
import { clock, day, has, language, number, relative, setLanguage, text, utc } from "./texts.js";

const slow = 10000;
const quick = 1000;

let status = null;
let timer = null;
let syncing = false;
let asking = false;
let lastRun = null;
let result = null;
let door = null;

// -- Status -----------------------------------------------------------------------------------

async function refresh() {
  clearTimeout(timer);
  const answer = await call("status");
  if (answer.ok) {
    door = null;
    const first = status === null;
    status = answer.body;
    const finished = status.last_run?.task_id ?? null;
    if (first || finished !== lastRun) table.load({ quiet: !first });
    lastRun = finished;
  } else if (answer.status === 401 || answer.status === 403) {
    refused(answer);
  } else {
    door = { level: "failing", words: answer.status ? answer.body.detail || answer.body.code : text("unreachable") };
  }
  showStatus();
  const pause = document.hidden ? 60000 : syncing || status?.running ? quick : slow;
  timer = setTimeout(refresh, pause);
}

function refused(answer) {
  status = null;
  lastRun = null;
  find("#referrals").hidden = true;
  if (answer.body.code === "api_key_needed") {
    const wrong = hasKey();
    forgetKey();
    door = { level: "attention", words: text("key_needed"), hint: text("key_hint"), action: [text("key_open"), ask] };
    ask(wrong);
  } else if (answer.body.login_url) {
    door = { level: "attention", words: text("login_title"), hint: text("login_hint"), link: [text("login"), answer.body.login_url] };
  } else {
    door = { level: "failing", words: text("denied_title"), hint: answer.body.detail };
  }
  showStatus();
}

function ask(wrong = false) {
  if (asking) return;
  asking = true;
  askForKey({ wrong: wrong === true, done: () => { asking = false; refresh(); }, closed: () => { asking = false; } });
}

function figure(name, value, { title, press, alarm } = {}) {
  return element("dl", { title, class: alarm ? "alarm" : null }, element("dt", {}, text(`figure_${name}`)),
    element("dd", {}, press ? element("button", { type: "button", onclick: press }, value) : value));
}

function levelOf() {
  if (door) return door.level;
  if (!status) return "unknown";
  if (status.running || syncing) return "running";
  return status.level;
}

function alarmWords(alarm) {
  const values = {
    ...alarm, count: number(alarm.count ?? 0), unseen: number(alarm.unseen ?? 0), present: number(alarm.present ?? 0),
    when: alarm.at ? relative(alarm.at) : text("never"),
  };
  const hint = alarm.message || (has(`alarm_${alarm.code}_hint`) ? text(`alarm_${alarm.code}_hint`, values) : "");
  return { words: text(`alarm_${alarm.code}`, values), hint };
}

function showStatus() {
  const level = levelOf();
  const isOperator = status?.role === "operator";
  find("#status").dataset.level = level;
  find("#sync-button").hidden = !isOperator;
  find("#sync-button").disabled = syncing || Boolean(status?.running) || status?.enabled === false;
  find("#sync-button").setAttribute("aria-busy", String(syncing));
  find("#sync-button [data-text]").textContent = text(syncing ? "syncing" : "sync_now");
  find("#runs-button").hidden = !status;
  fill(find("#who"), status ? text(isOperator ? "as_operator" : "as_reader") + (status.name ? ` · ${status.name}` : "") : "",
    status && hasKey() ? [" · ", element("button", { type: "button", class: "button plain inline", onclick: leave }, text("forget_key"))] : null);
  find("#version").textContent = status ? text("version", { version: status.version }) : "";
  showWords(level);
  showFigures(isOperator);
  showRunning();
  showNotices(isOperator);
}

function leave() {
  forgetKey();
  location.reload();
}

function dueAt(instant) {
  const isFar = new Date(instant).getTime() - Date.now() > 20 * 3600 * 1000;
  return isFar ? day(instant) : clock(instant);
}

function showWords(level) {
  const alarms = status?.alarms ?? [];
  const failing = alarms.find((alarm) => alarm.level === level) ?? null;
  find("#status-words").textContent = door ? door.words : failing ? alarmWords(failing).words : text(`level_${level}`);
  if (!status) { fill(find("#status-times"), door?.hint ?? ""); return; }
  fill(find("#status-times"),
    element("span", { title: utc(status.last_success_at) }, status.last_success_at ? text("last_success", { when: relative(status.last_success_at) }) : text("no_success")),
    status.next_due_at && status.enabled ? [" · ", element("span", { title: utc(status.next_due_at) }, text("next_due", { when: `${dueAt(status.next_due_at)} (${relative(status.next_due_at)})` }))] : null,
    status.last_sweep_at ? [" · ", element("span", { title: utc(status.last_sweep_at) }, text("last_sweep", { when: relative(status.last_sweep_at) }))] : null);
}

function doorAction() {
  if (door?.link) return element("a", { class: "button primary", href: door.link[1] }, door.link[0]);
  return door?.action ? element("button", { type: "button", class: "button primary", onclick: () => door.action[1]() }, door.action[0]) : null;
}

function showFigures(isOperator) {
  if (!status) { fill(find("#figures"), doorAction()); return; }
  const { counts, sign_in: signIn } = status;
  fill(find("#figures"),
    figure("referrals", number(counts.referrals)),
    figure("open", number(counts.open)),
    counts.missing ? figure("missing", number(counts.missing)) : null,
    figure("quarantine", number(status.quarantine.open), { alarm: status.quarantine.open > 0, press: isOperator ? () => quarantineDialog({ done: refresh }) : null }),
    status.drift ? figure("drift", number(status.drift), { alarm: true }) : null,
    signIn.renewed_at ? figure("sign_in", relative(signIn.renewed_at), { title: utc(signIn.renewed_at), alarm: signIn.renewal_due }) : null);
}

function showRunning() {
  const run = status?.running;
  find("#running").hidden = !run && !syncing;
  find("#running-bar").removeAttribute("value");
  const words = run ? text("running_words", { pages: number(run.pages), fetched: number(run.fetched), inserted: number(run.inserted), updated: number(run.updated) }) : text("running_start");
  find("#running-words").textContent = run ? `${words} · ${text(`running_trigger_${run.trigger}`)} · ${relative(run.started_at)}` : words;
}

// -- Notices ----------------------------------------------------------------------------------

const signInCodes = ["sign_in_needed", "sign_in_unknown", "renewal_due", "account_problem", "admin_consent_needed", "blocked_by_policy", "misconfigured"];

function actionsFor(alarm, isOperator) {
  if (!isOperator) return null;
  if (signInCodes.includes(alarm.code)) return element("button", { type: "button", class: "button", onclick: () => signInDialog({ done: refresh }) }, text("sign_in"));
  if (alarm.code === "visibility_shrank") return element("button", { type: "button", class: "button", onclick: () => acceptDialog({ accept: () => sync({ mode: "full", accept_missing: true }) }) }, text("accept"));
  if (alarm.code === "quarantine") return element("button", { type: "button", class: "button", onclick: () => quarantineDialog({ done: refresh }) }, text("show"));
  return null;
}

function notice(level, words, hint, actions) {
  return element("div", { class: `notice ${level}` }, element("div", {}, element("strong", {}, words), hint || ""), element("div", { class: "notice-actions" }, actions));
}

function showNotices(isOperator) {
  const close = () => { result = null; showStatus(); };
  const shown = [];
  if (result) shown.push(notice(result.level, result.words, result.body, element("button", { type: "button", class: "close", "aria-label": text("close"), onclick: close }, "×")));
  for (const alarm of status?.alarms ?? []) {
    const { words, hint } = alarmWords(alarm);
    const support = alarm.correlation_id ? [" ", element("span", { class: "quiet" }, `(${alarm.reason_code ?? ""} ${alarm.correlation_id})`)] : null;
    shown.push(notice(alarm.level, words, element("span", {}, hint, support), actionsFor(alarm, isOperator)));
  }
  fill(find("#notices"), shown);
}

// -- Sync -------------------------------------------------------------------------------------

function reasonWords(reason) {
  return has(`skip_${reason}`) ? text(`skip_${reason}`) : reason;
}

function resultOf({ ok, status: code, body }) {
  if (code === 0) return { level: "attention", words: text("sync_no_answer") };
  if (body.code === "already_running") return { level: "attention", words: text("sync_already_running"), body: text("sync_already_running_hint") };
  if (body.code === "feature_disabled") return { level: "attention", words: text("sync_feature_disabled"), body: text("alarm_feature_disabled_hint") };
  const counts = body.fetched === undefined ? "" : text("result", Object.fromEntries(["inserted", "updated", "unchanged", "skipped", "quarantined"].map((name) => [name, number(body[name])])));
  const reasons = Object.entries(body.skipped_reasons ?? {});
  const list = reasons.length ? [element("div", { class: "quiet" }, text("left_out")), element("ul", {}, reasons.map(([reason, count]) => element("li", {}, `${reasonWords(reason)}: ${number(count)}`)))] : [];
  if (ok) return { level: body.state === "partial" ? "attention" : "ok", words: text(`sync_${body.state}`), body: element("div", {}, counts, list) };
  return { level: "failing", words: text("sync_failed"), body: element("div", {}, element("div", {}, body.detail), element("div", { class: "quiet" }, body.task_id ? `${body.code} · ${body.task_id}` : body.code)) };
}

async function sync(options = { mode: "incremental" }) {
  if (syncing) return;
  syncing = true;
  result = null;
  showStatus();
  timer = (clearTimeout(timer), setTimeout(refresh, quick));
  const answer = await call("referrals/sync", { method: "POST", body: options });
  syncing = false;
  if (answer.status === 401) { refused(answer); return; }
  result = resultOf(answer);
  await refresh();
  table.load({ quiet: true });
}

// -- Language and start -----------------------------------------------------------------------

function showLanguage() {
  document.documentElement.lang = language;
  document.title = text("title");
  for (const place of document.querySelectorAll("[data-text]")) place.textContent = text(place.dataset.text);
  for (const place of document.querySelectorAll("[data-label]")) place.setAttribute("aria-label", text(place.dataset.label));
  for (const place of document.querySelectorAll("[data-placeholder]")) place.placeholder = text(place.dataset.placeholder);
  for (const button of document.querySelectorAll("[data-lang]")) button.setAttribute("aria-pressed", String(button.dataset.lang === language));
  table.showFilters();
  showStatus();
}

for (const button of document.querySelectorAll("[data-lang]")) {
  button.addEventListener("click", () => { setLanguage(button.dataset.lang); result = null; showLanguage(); });
}
find("#sync-button").addEventListener("click", () => sync());
find("#runs-button").addEventListener("click", () => runsDialog());
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
table.start({ open: (id) => referralDialog(id), refused });
showLanguage();
refresh();
