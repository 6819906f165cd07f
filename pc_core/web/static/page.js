// The page as a whole: who is here, how the sync stands, which view is shown.

import * as address from "./address.js";
import { call, currentKey, forgetKey } from "./api.js";
import * as attention from "./attention.js";
import * as companies from "./companies.js";
import { askForKey, acceptDialog, reasonList, referralDialog, signInDialog } from "./dialogs.js";
import { closeDialog, element, fill, find, isDialogOpen, recall, remember, renew, switchOff } from "./dom.js";
import { details, explain, prose, trouble } from "./explain.js";
import * as health from "./health.js";
import * as table from "./table.js";
import { button, word } from "./cells.js";
import { clock, day, duration, has, language, number, relative, setLanguage, text, utc } from "./texts.js";

const slow = 10000;
const quick = 1000;
const again = 3000;
const wakingAfter = 2500;
const staleAfter = 300000;
const themeKey = "partner-center-theme";
const viewNames = ["referrals", "companies", "attention", "health"];

let status = null;
let timer = null;
let syncing = false;
let polls = 0;
let isKeyOffered = false;
let lastRun = null;
let loadedAt = 0;
let result = null;
let door = null;
let waking = false;
let shownReferral = null;

// -- Status -----------------------------------------------------------------------------------

async function refresh() {
  clearTimeout(timer);
  const mine = ++polls;
  const wakes = status === null && setTimeout(() => { waking = true; showStatus(); }, wakingAfter);
  let answer = null;
  try {
    answer = await call("status");
    if (mine === polls) heed(answer);
  } finally {
    clearTimeout(wakes);
    if (mine === polls) {
      const isRefused = answer?.status === 401 || answer?.status === 403;
      const pause = document.hidden ? 60000 : syncing || status?.running ? quick : door && !isRefused ? again : slow;
      clearTimeout(timer);
      timer = setTimeout(refresh, pause);
    }
  }
}

function heed(answer) {
  waking = false;
  document.body.classList.remove("pending");
  if (answer.ok) accept(answer.body);
  else if (answer.status === 401 || answer.status === 403) refused(answer);
  else if (answer.status) door = { level: "failing", words: text("unavailable"), hint: explain(answer.body.code) ?? answer.body.detail, details: details(answer.body.code, answer.body.detail) };
  else door = { level: "failing", words: text("unreachable"), hint: text("unreachable_hint") };
  showStatus();
}

function accept(found) {
  door = null;
  const first = status === null;
  status = found;
  attention.noteVisit(status.now);
  attention.setStatus(status);
  health.setStatus(status);
  table.setSince(attention.visitSince());
  const finished = status.last_run?.task_id ?? null;
  if (first) showRoute(address.read(), { fresh: true });
  // What a result told of the run before is over; its own run is `result.run`.
  if (finished !== lastRun && finished !== result?.run) result = null;
  // Days pass by without a run, too.
  if (first || finished !== lastRun || (!document.hidden && Date.now() - loadedAt > staleAfter)) loadData(first);
  lastRun = finished;
}

function loadData(first) {
  loadedAt = Date.now();
  table.load({ quiet: !first });
  if (!first) companies.load({ quiet: true });
  attention.load();
  call("statistics").then((answer) => { if (answer.ok) table.setCountries(answer.body.by_country); });
  if (!first && address.read().view === "health") health.load();
}

function refused(answer) {
  // What an older key was told says nothing about the present one.
  if (answer.key !== currentKey()) return;
  status = null;
  lastRun = null;
  for (const name of viewNames) find(`#${name}`).hidden = true;
  if (answer.body.code === "api_key_needed") {
    const isWrong = answer.key !== null;
    forgetKey();
    door = { level: "attention", words: text("key_needed"), hint: text("key_hint"), action: [text("key_open"), askKey] };
    // By itself it opens once, and again where a key was wrong: who closes it wants it closed.
    if (isWrong || !isKeyOffered) askKey(isWrong);
  } else if (answer.body.login_url) {
    door = { level: "attention", words: text("login_title"), hint: text("login_hint"), link: [text("login"), backHere(answer.body.login_url)] };
  } else {
    door = { level: "failing", words: text("denied_title"), hint: has(`denied_${answer.body.code}`) ? text(`denied_${answer.body.code}`) : explain(answer.body.code) ?? answer.body.detail, details: details(answer.body.code, answer.body.detail) };
  }
  showStatus();
}

// Whoever has signed in comes back to the view that was asked for.
function backHere(loginUrl) {
  const login = new URL(loginUrl, location.origin);
  login.searchParams.set("post_login_redirect_uri", location.pathname + location.search);
  return login.pathname + login.search;
}

function askKey(isWrong = false) {
  isKeyOffered = true;
  askForKey({ wrong: isWrong, done: refresh });
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
    count: alarm.count ?? alarm.days ?? alarm.unseen ?? 0, present: alarm.present ?? 0,
    when: alarm.at ? relative(alarm.at) : text("never"),
  };
  const name = [`alarm_${alarm.code}_hint_never`, `alarm_${alarm.code}_hint`].slice(alarm.at === null ? 0 : 1).find(has);
  const usual = name ? text(name, values) : null;
  // What an administrator needs to find the refusal in Entra ID's logs.
  const support = alarm.correlation_id ? element("span", { class: "quiet" }, ` (${alarm.reason_code ?? ""} ${alarm.correlation_id})`) : null;
  const hint = alarm.message ? trouble(alarm.reason_code, alarm.message, usual) : [usual && element("span", {}, prose(usual))];
  return { words: text(`alarm_${alarm.code}`, values), hint: [hint[0], support, hint[1]] };
}

function showStatus() {
  const level = levelOf();
  const isOperator = status?.role === "operator";
  find("#status").dataset.level = level;
  find("#tabs").hidden = !status;
  find("#sync-button").hidden = !isOperator;
  switchOff(find("#sync-button"), syncing || Boolean(status?.running) || status?.enabled === false);
  find("#sync-button").setAttribute("aria-busy", String(syncing));
  find("#sync-button [data-text]").textContent = text(syncing || status?.running ? "syncing" : "sync_now");
  renew(find("#who"), status ? text(isOperator ? "as_operator" : "as_reader") + (status.name ? ` · ${status.name}` : "") : text("subtitle"),
    status && currentKey() ? element("span", { class: "unprinted" }, " · ", element("button", { type: "button", class: "button plain inline", onclick: leave }, text("forget_key"))) : null);
  find("#version").textContent = status ? text("version", { version: status.version }) : "";
  showWords(level);
  showFigures();
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

// The one that the status line names; what to do about it stands below it.
function worstAlarm() {
  const level = levelOf();
  return door ? null : status?.alarms.find((alarm) => alarm.level === level) ?? null;
}

function showWords(level) {
  const failing = worstAlarm();
  renew(find("#status-words"), prose(door ? door.words : failing ? alarmWords(failing).words : waking ? text("waking") : text(status ? `level_${level}` : "loading")));
  if (!status) { renew(find("#status-times"), prose(door?.hint ?? (waking ? text("waking_hint") : ""))); return; }
  renew(find("#status-times"),
    element("span", { title: utc(status.last_success_at) }, status.last_success_at ? text("last_success", { when: relative(status.last_success_at) }) : text("no_success")),
    status.next_due_at && status.enabled ? [" · ", element("span", { title: utc(status.next_due_at) }, text("next_due", { when: `${dueAt(status.next_due_at)} (${relative(status.next_due_at)})` }))] : null,
    status.last_sweep_at ? [" · ", element("span", { title: utc(status.last_sweep_at) }, text("last_sweep", { when: relative(status.last_sweep_at) }))] : null);
}

function doorAction() {
  if (door?.link) return element("a", { class: "button primary", href: door.link[1] }, door.link[0]);
  return door?.action ? button(door.action[0], () => door.action[1](), "primary") : null;
}

function showHealth() {
  address.go({ view: "health", referral: null, filters: address.noFilters });
}

function showFigures() {
  if (!status) { renew(find("#figures"), doorAction()); return; }
  const { counts, sign_in: signIn } = status;
  renew(find("#figures"),
    figure("referrals", number(counts.referrals)),
    figure("open", number(counts.open)),
    counts.missing ? figure("missing", number(counts.missing)) : null,
    figure("quarantine", number(status.quarantine.open), { alarm: status.quarantine.open > 0, press: status.quarantine.open > 0 && status.role === "operator" ? showHealth : null }),
    status.drift ? figure("drift", number(status.drift), { alarm: true, press: showHealth }) : null,
    signIn.renewed_at ? figure("sign_in", relative(signIn.renewed_at), { title: utc(signIn.renewed_at), alarm: signIn.renewal_due }) : null);
}

// How far the running run is, as far as anybody can know: words, and a share where there is one.
function progressOf(run, sweep) {
  if (run.mode === "replay") return { words: text("running_replay") };
  if (!run.head_completed_at || !sweep) return { words: text("running_head") };
  if (sweep.phase !== "reading") return { words: text("running_checking") };
  if (!sweep.expected) return { words: text("running_sweep_first", { received: sweep.received }) };
  if (sweep.received > sweep.expected) return { words: text("running_sweep_more", sweep) };
  return { words: text("running_sweep", sweep), share: sweep.received / sweep.expected };
}

function showRunning() {
  const run = status?.running;
  const bar = find("#running-bar");
  find("#running").hidden = !run && !syncing;
  const { words, share } = run ? progressOf(run, status.sweep) : { words: text("running_start") };
  if (share === undefined) bar.removeAttribute("value");
  else bar.value = share;
  if (!run) { find("#running-words").textContent = words; return; }
  const seconds = Math.max(0, (Date.now() - Date.parse(run.started_at)) / 1000);
  find("#running-words").textContent = [words, text("running_pages", { count: run.pages }), text("running_rows", run), word("running_trigger", run.trigger), word("mode", run.mode), text("running_for", { time: duration(seconds) })].join(" · ");
}

// -- Notices ----------------------------------------------------------------------------------

const signInCodes = ["sign_in_needed", "sign_in_unknown", "renewal_due", "account_problem", "admin_consent_needed", "blocked_by_policy", "misconfigured"];

const signIn = () => signInDialog({ done: refresh });
const acceptMissing = () => acceptDialog({ accept: () => sync({ mode: "full", accept_missing: true }) });

function actionsFor(alarm, isOperator) {
  if (isOperator && signInCodes.includes(alarm.code)) return button(text("sign_in"), signIn);
  if (isOperator && alarm.code === "visibility_shrank") return button(text("accept"), acceptMissing);
  // Its list is for operators.
  if (alarm.code === "quarantine" && !isOperator) return null;
  if (["quarantine", "drift", "last_run_failed", "missed", "sweep_overdue"].includes(alarm.code) && address.read().view !== "health") return button(text("show"), showHealth);
  return null;
}

function notice(level, words, hint, actions) {
  return element("div", { class: `notice ${level}` }, element("div", {}, element("strong", {}, words), hint || ""), element("div", { class: "notice-actions" }, actions));
}

let noticed = null;

function showNotices(isOperator) {
  const signature = JSON.stringify([language, isOperator, address.read().view, levelOf(), door?.words, door?.hint, Boolean(status), status?.alarms, result?.words, result?.at]);
  if (signature === noticed) return;
  noticed = signature;
  const close = () => { result = null; showStatus(); };
  const shown = [];
  if (result) shown.push(notice(result.level, result.words, result.body, [element("time", { class: "quiet", datetime: result.at, title: utc(result.at) }, clock(result.at)), element("button", { type: "button", class: "close", "aria-label": text("close"), onclick: close }, "×")]));
  for (const alarm of status?.alarms ?? []) {
    if (alarm === worstAlarm()) continue;
    const { words, hint } = alarmWords(alarm);
    shown.push(notice(alarm.level, words, element("div", {}, hint), actionsFor(alarm, isOperator)));
  }
  fill(find("#notices"), shown);
  const worst = worstAlarm();
  // Without a status the door's hint stands in the place of the times.
  const hint = worst ? alarmWords(worst).hint : status && door ? prose(door.hint) : null;
  const toDo = [hint && element("div", { class: "to-do-words" }, hint), worst ? actionsFor(worst, isOperator) : door?.details].filter(Boolean);
  find("#to-do").hidden = toDo.length === 0;
  fill(find("#to-do"), toDo);
}

// -- Sync -------------------------------------------------------------------------------------

function resultOf({ ok, status: code, body }, deed) {
  const at = new Date().toISOString();
  if (code === 0) return { at, level: "attention", words: text("sync_no_answer") };
  if (body.code === "already_running") return { at, level: "attention", words: text("sync_already_running"), body: text("sync_already_running_hint") };
  if (body.code === "feature_disabled") return { at, level: "attention", words: text("sync_feature_disabled"), body: text("alarm_feature_disabled_hint") };
  const run = body.task_id;
  const counts = body.fetched === undefined ? "" : text("result", Object.fromEntries(["inserted", "updated", "unchanged", "skipped", "quarantined"].map((name) => [name, number(body[name])])));
  const nothing = body.fetched !== undefined && body.inserted + body.updated + body.quarantined === 0 ? `${text("nothing_new")} ` : "";
  if (ok) return { at, run, level: body.state === "partial" ? "attention" : "ok", words: text(body.state === "partial" ? `${deed}_partial` : "sync_completed"), body: element("div", {}, nothing, counts, reasonList(body.skipped_reasons)) };
  return { at, run, level: "failing", words: text(`${deed}_failed`), body: element("div", {}, trouble(body.code, body.detail), body.task_id && element("div", { class: "quiet id" }, body.task_id)) };
}

async function sync(options = { mode: "incremental" }, path = "referrals/sync", deed = "sync") {
  if (syncing) return null;
  syncing = true;
  result = null;
  showStatus();
  clearTimeout(timer);
  timer = setTimeout(refresh, quick);
  const answer = await call(path, { method: "POST", body: options });
  syncing = false;
  if (answer.status === 401) { refused(answer); return null; }
  const told = resultOf(answer, deed);
  await refresh();
  result = told;
  showStatus();
  return told;
}

async function replay() {
  const found = await sync({}, "quarantine/replay", "replay");
  if (!found) return null;
  // It is told where the button is.
  result = null;
  showStatus();
  return found.level === "ok" ? { level: "ok", words: text("replay_done", { count: status?.quarantine.open ?? 0 }) } : found;
}

// -- Views ------------------------------------------------------------------------------------

const openReferral = (id) => address.go({ referral: id });

function showReferral(id) {
  if (id === shownReferral) return;
  shownReferral = id;
  if (!id) { if (isDialogOpen()) closeDialog(); return; }
  referralDialog(id, {
    wanted: () => shownReferral === id,
    closed: () => { if (shownReferral === id) { shownReferral = null; address.write({ referral: null }); } },
    company: (domain) => address.go({ view: "referrals", referral: null, filters: { ...address.noFilters, domain } }),
  });
}

function showRoute(route, { fresh = false } = {}) {
  for (const name of viewNames) find(`#${name}`).hidden = !status || name !== route.view;
  for (const link of document.querySelectorAll("#tabs a")) {
    if (link.dataset.view === route.view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = route.view === "referrals" ? text("title") : `${text(route.view)} – ${text("title")}`;
  if (!status) return;
  if (route.view === "referrals" && !fresh) table.showRoute(route);
  if (route.view === "companies") companies.showRoute(route);
  if (route.view === "attention") { attention.show(); if (!fresh) attention.load(); }
  if (route.view === "health") { health.forgetOutcome(); health.load(); }
  showReferral(route.referral);
  showStatus();
}

// -- Language, theme and start ----------------------------------------------------------------

function showLanguage() {
  document.documentElement.lang = language;
  for (const place of document.querySelectorAll("[data-text]")) place.textContent = text(place.dataset.text);
  for (const place of document.querySelectorAll("[data-label]")) place.setAttribute("aria-label", text(place.dataset.label));
  for (const place of document.querySelectorAll("[data-placeholder]")) place.placeholder = text(place.dataset.placeholder);
  for (const choice of document.querySelectorAll("[data-lang]")) choice.setAttribute("aria-pressed", String(choice.dataset.lang === language));
  table.showFilters();
  companies.show();
  attention.show();
  health.show();
  showRoute(address.read(), { fresh: true });
  showStatus();
}

function showTheme() {
  const chosen = recall(themeKey) ?? "";
  if (chosen) document.documentElement.dataset.theme = chosen;
  else delete document.documentElement.dataset.theme;
  for (const choice of document.querySelectorAll("[data-theme-choice]")) choice.setAttribute("aria-pressed", String(choice.dataset.themeChoice === chosen));
}

for (const choice of document.querySelectorAll("[data-lang]")) {
  choice.addEventListener("click", () => { setLanguage(choice.dataset.lang); result = null; showLanguage(); });
}
for (const choice of document.querySelectorAll("[data-theme-choice]")) {
  choice.addEventListener("click", () => { remember(themeKey, choice.dataset.themeChoice); showTheme(); });
}
find("#tabs").addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  address.go({ view: link.dataset.view, referral: null, filters: address.noFilters });
});
document.addEventListener("keydown", (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "k") return;
  const search = find("main > section:not([hidden]) input[type=search]");
  if (!search) return;
  event.preventDefault();
  search.focus();
  search.select();
});
find("#sync-button").addEventListener("click", () => sync());
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
address.watch((route) => showRoute(route));
table.start({ open: openReferral, refused });
companies.start({ refused, open: (domain) => address.go({ view: "referrals", referral: null, filters: { ...address.noFilters, domain } }) });
attention.start({ open: openReferral, quarantine: showHealth });
health.start({ signIn, replay, accept: acceptMissing });
showTheme();
showLanguage();
refresh();
