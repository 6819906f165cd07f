// How the sync does: its state in words, its runs, what it set aside, and the settings in force.

import { call } from "./api.js";
import { button, sinceCell, word } from "./cells.js";
import { runsChart, weeksChart } from "./charts.js";
import { runDialog } from "./dialogs.js";
import { element, fill, find } from "./dom.js";
import { brief, details, failed, trouble } from "./explain.js";
import { duration, has, language, number, relative, text, utc } from "./texts.js";

const refreshTokenLifeDays = 90;
const runsShown = 40;
const quarantineShown = 100;

let status = null;
let statistics = null;
let runs = null;
let runsTrouble = null;
let more = null;
let hasReadOn = false;
let isReadingMore = false;
let quarantine = null;
let quarantineReadOnAt = null;
let quarantineTrouble = null;
let outcome = null;
let onSignIn = () => {};
let onReplay = async () => null;
let onAccept = () => {};

// -- Cards ------------------------------------------------------------------------------------

function fact(name, value, title) {
  return element("div", {}, element("dt", {}, text(name)), element("dd", { title }, value ?? "–"));
}

function when(instant) {
  return instant ? sinceCell(instant) : text("never");
}

function syncCard() {
  const { schema } = status;
  const isCurrent = schema.current === schema.expected;
  return element("article", { class: "panel card" }, element("h2", {}, text("card_sync")),
    element("dl", { class: "facts" },
      fact("card_last_success", when(status.last_success_at)),
      fact("card_lag", status.lag_s === null ? "–" : duration(status.lag_s)),
      fact("card_next", status.enabled ? relative(status.next_due_at) : text("level_disabled"), utc(status.next_due_at)),
      fact("card_sweep", status.sweep_under_way ? text("sweep_under_way") : when(status.last_sweep_at)),
      fact("card_drift", number(status.drift)),
      fact("card_order", word("order", status.order_verdict)),
      fact("card_schema", isCurrent ? text("schema_current", { revision: schema.current }) : text("schema_behind", { current: schema.current ?? "–", expected: schema.expected }))));
}

function signInCard() {
  const { sign_in: signIn } = status;
  const isGood = signIn.state === "ok" || signIn.state === "transient";
  const isUnknown = signIn.reason_code === "never_signed_in";
  const state = isUnknown ? "sign_in_unknown" : signIn.state;
  const ageDays = signIn.refresh_token_age_s === null ? null : Math.floor(signIn.refresh_token_age_s / 86400);
  const leftDays = ageDays === null ? null : Math.max(0, refreshTokenLifeDays - ageDays);
  const isOperator = status.role === "operator";
  return element("article", { class: "panel card" }, element("h2", {}, text("card_sign_in")),
    element("p", { class: `verdict ${isGood ? (signIn.renewal_due ? "near" : "good") : "soon"}` }, text(isGood ? `sign_in_${signIn.state}` : `alarm_${state}`)),
    isGood ? null : element("div", {}, trouble(signIn.reason_code, signIn.message, text(`alarm_${state}_hint`))),
    element("dl", { class: "facts" },
      signIn.since_at && fact("card_since", sinceCell(signIn.since_at)),
      signIn.checked_at && fact("card_checked", sinceCell(signIn.checked_at)),
      signIn.renewed_at && fact("card_renewed", sinceCell(signIn.renewed_at)),
      ageDays !== null && fact("card_expires", text("days_left", { count: leftDays })),
      signIn.correlation_id && fact("card_correlation", signIn.correlation_id)),
    ageDays !== null && element("progress", { class: signIn.renewal_due ? "near" : null, max: refreshTokenLifeDays, value: Math.min(refreshTokenLifeDays, ageDays), "aria-label": text("card_age", { count: ageDays }) }),
    ageDays !== null && element("p", { class: "quiet" }, text("card_age", { count: ageDays })),
    isOperator && element("p", { class: "panel-foot" }, button(text(isGood ? "sign_in_renew" : "sign_in"), onSignIn, isGood ? "" : "primary")));
}

function dataCard() {
  const { counts } = status;
  const kinds = ["co-sell", "marketplace", "solution-provider", ""];
  return element("article", { class: "panel card" }, element("h2", {}, text("card_data")),
    element("dl", { class: "facts" },
      fact("figure_referrals", number(counts.referrals)), fact("figure_open", number(counts.open)),
      fact("figure_missing", number(counts.missing)), fact("figure_quarantine", number(status.quarantine.open)),
      kinds.map((kind) => fact(`type_${kind || "other"}`, number(counts.by_type[kind] ?? 0)))),
    status.visibility_shrank && element("div", { class: "notice failing" }, element("div", {},
      element("strong", {}, text("alarm_visibility_shrank", { count: status.visibility_shrank.unseen ?? 0, present: status.visibility_shrank.present ?? 0 })),
      text("alarm_visibility_shrank_hint")),
      status.role === "operator" && element("div", { class: "notice-actions" }, button(text("accept"), onAccept))));
}

// -- Runs -------------------------------------------------------------------------------------

const runLevels = { failed: "failing", interrupted: "attention", partial: "attention", completed: "Active", running: "New" };

export function runState(run) {
  return element("span", { class: `state ${runLevels[run.state] ?? ""}` }, word("state", run.state));
}

function runRow(run) {
  return element("tr", { onclick: () => runDialog(run) },
    element("td", {}, element("button", { type: "button", class: "company plain-row" }, sinceCell(run.started_at))),
    element("td", {}, runState(run), run.error ? element("span", { class: "below" }, brief(run.error.code)) : null),
    element("td", {}, word("running_trigger", run.trigger)),
    ["fetched", "inserted", "updated", "skipped", "quarantined"].map((name) => element("td", { class: "number" }, number(run[name]))),
    element("td", { class: "number" }, run.duration_s === null ? "–" : duration(run.duration_s)));
}

function runsPanel() {
  const names = ["run_started", "run_state", "run_trigger", "run_fetched", "run_new", "run_updated", "run_skipped", "run_quarantined", "run_duration"];
  return element("article", { class: "panel" }, element("div", { class: "panel-head" }, element("h2", {}, text("runs_title"))),
    runs === null ? (runsTrouble ? failed(runsTrouble) : element("p", { class: "empty", role: "status" }, text("loading"))) : runs.length === 0
      ? element("div", { class: "empty" }, element("strong", {}, text("no_runs")), text("no_runs_hint"))
      : element("div", { class: "table-frame", tabindex: 0, role: "region", "aria-label": text("runs_title") }, element("table", { class: "runs" },
        element("thead", {}, element("tr", {}, names.map((name, place) => element("th", { scope: "col", class: place > 2 ? "number" : null }, text(name))))),
        element("tbody", {}, runs.map(runRow)))),
    more && element("div", { class: "panel-foot" }, button(text(isReadingMore ? "loading" : "more"), readMore), runsTrouble && failed(runsTrouble)));
}

function chartsPanel() {
  return element("div", { class: "charts" },
    element("article", { class: "panel" }, statistics ? (statistics.ok ? weeksChart(statistics.body.weeks) : failed(statistics)) : element("p", { class: "empty", role: "status" }, text("loading"))),
    runs?.length ? element("article", { class: "panel" }, runsChart(runs.slice(0, runsShown))) : null);
}

// -- Quarantine -------------------------------------------------------------------------------

async function replay(event) {
  event.currentTarget.disabled = true;
  outcome = await onReplay();
  quarantineReadOnAt = null;
  await loadQuarantine();
  show();
  find("#quarantine")?.focus();
}

function quarantinePanel() {
  if (status.role !== "operator") return null;
  const head = element("div", { class: "panel-head" }, element("h2", {}, text("quarantine_title")), element("p", { class: "quiet" }, text("quarantine_hint")));
  const said = outcome && element("div", { class: "panel-foot", role: "status" },
    element("p", { class: `verdict ${outcome.level === "ok" ? "good" : "soon"}` }, outcome.words), outcome.body);
  const body = quarantine === null ? element("p", { class: "empty", role: "status" }, text("loading"))
    : !quarantine.ok ? failed(quarantine)
      : quarantine.body.entries.length === 0 ? element("p", { class: "empty" }, text("quarantine_empty"))
        : element("div", { class: "table-frame", tabindex: 0, role: "region", "aria-label": text("quarantine_title") }, element("table", {},
          element("thead", {}, element("tr", {}, ["referral_id", "quarantine_reason", "quarantine_field", "quarantine_since"].map((name) => element("th", { scope: "col" }, text(name))))),
          element("tbody", {}, quarantine.body.entries.map((entry) => element("tr", {},
            element("td", { class: "id" }, entry.referral_id ?? "–"),
            element("td", {}, word("reason", entry.reason), details(entry.reason, entry.detail)),
            element("td", { class: "id" }, entry.field ?? "–"),
            element("td", {}, sinceCell(entry.first_seen_at)))))));
  const shown = quarantine?.ok && quarantine.body.next_cursor && element("div", { class: "panel-foot" },
    element("p", { class: "quiet" }, text("quarantine_shown", { count: quarantine.body.entries.length, total: status.quarantine.open })),
    button(text("more"), readMoreQuarantine), quarantineTrouble && failed(quarantineTrouble));
  const waits = quarantine?.ok && quarantine.body.entries.length > 0;
  return element("article", { class: "panel", id: "quarantine", tabindex: -1 }, head, body, shown, said, waits && element("p", { class: "panel-foot" }, button(text("replay"), replay, "primary")));
}

// -- Settings ---------------------------------------------------------------------------------

const settingWords = { directions: "direction", statuses: "status", excluded_substatuses: "substatus" };

function settingValue(name, value) {
  if (value === null || value === undefined) return text("unset");
  if (Array.isArray(value)) return value.map((one) => (one === "*" ? text("all") : word(settingWords[name], one))).join(", ") || text("unset");
  return name.endsWith("_s") ? duration(value) : typeof value === "number" ? number(value) : String(value);
}

function settingsPanel() {
  return element("article", { class: "panel card" }, element("h2", {}, text("settings_title")),
    element("p", { class: "quiet" }, text("settings_hint")),
    element("dl", { class: "facts settings" }, Object.entries(status.settings).map(([name, value]) => element("div", {}, element("dt", {}, has(`setting_${name}`) ? text(`setting_${name}`) : name), element("dd", {}, settingValue(name, value))))));
}

// -- The view ---------------------------------------------------------------------------------

let drawn = null;

// Drawn again only when something has changed or a minute has passed, so that nobody loses the
// place where they scroll or select.
export function show() {
  const place = find("#health");
  if (place.hidden) { drawn = null; fill(place); return; }
  const { now, lag_s: _, ...lasting } = status ?? {};
  const signature = JSON.stringify([language, lasting, statistics, runs, runsTrouble, more, isReadingMore, quarantine, quarantineTrouble, outcome, Math.floor(Date.parse(now) / 60000)]);
  if (signature === drawn) return;
  drawn = signature;
  if (!status) { fill(place, element("p", { class: "panel empty", role: "status" }, text("loading"))); return; }
  const opened = [...place.querySelectorAll("details")].map((part) => part.open);
  const focused = [...place.querySelectorAll("button, summary")].indexOf(document.activeElement);
  fill(place, element("div", { class: "cards" }, syncCard(), signInCard(), dataCard()), chartsPanel(), runsPanel(), quarantinePanel(), settingsPanel());
  place.querySelectorAll("details").forEach((part, number_) => { part.open = opened[number_] ?? false; });
  if (focused >= 0) [...place.querySelectorAll("button, summary")][focused]?.focus();
}

async function loadRuns() {
  const answer = await call(`sync-runs?limit=${runsShown}`);
  runsTrouble = answer.ok || runs ? null : answer;
  if (answer.ok) {
    const { runs: newest, next_cursor: next } = answer.body;
    // What was read on from there stays, with its own way on.
    const met = hasReadOn ? runs.findIndex((run) => run.task_id === newest.at(-1)?.task_id) : -1;
    hasReadOn = met >= 0;
    if (!hasReadOn) more = next;
    runs = hasReadOn ? [...newest, ...runs.slice(met + 1)] : newest;
  }
  show();
}

async function readMore() {
  if (isReadingMore) return;
  isReadingMore = true;
  show();
  const from = more;
  const answer = await call(`sync-runs?limit=${runsShown}&cursor=${encodeURIComponent(from)}`);
  isReadingMore = false;
  runsTrouble = answer.ok ? null : answer;
  if (answer.ok && more === from) {
    runs = [...runs, ...answer.body.runs];
    more = answer.body.next_cursor;
    hasReadOn = true;
  }
  show();
}

// Entries that were read on stay until their number has changed.
async function loadQuarantine() {
  if (status?.role !== "operator" || quarantineReadOnAt === status.quarantine.open) return;
  quarantineReadOnAt = quarantineTrouble = null;
  quarantine = await call(`quarantine?limit=${quarantineShown}`);
}

async function readMoreQuarantine(event) {
  event.currentTarget.disabled = true;
  quarantineTrouble = null;
  show();
  const from = quarantine;
  const answer = await call(`quarantine?limit=${quarantineShown}&cursor=${encodeURIComponent(from.body.next_cursor)}`);
  if (quarantine !== from) return;
  quarantineTrouble = answer.ok ? null : answer;
  if (answer.ok) {
    quarantine = { ...answer, body: { ...answer.body, entries: [...from.body.entries, ...answer.body.entries] } };
    quarantineReadOnAt = status.quarantine.open;
  }
  show();
}

export async function load() {
  show();
  const [found] = await Promise.all([call("statistics"), loadRuns(), loadQuarantine()]);
  statistics = found;
  show();
}

export function forgetOutcome() {
  outcome = quarantineReadOnAt = null;
}

export function setStatus(found) {
  status = found;
  show();
}

export function start({ signIn, replay: again, accept }) {
  onSignIn = signIn;
  onReplay = again;
  onAccept = accept;
}

