// What the address says is what is shown: the view, its filters, the page of its list, and what lies
// open over it.

const views = ["referrals", "companies", "attention", "health"];
const watchers = [];

export const filterNames = ["q", "type", "status", "direction", "country", "expiring", "domain", "no_domain", "attention", "group", "several", "open", "sort"];

export function read() {
  const asked = new URLSearchParams(location.search);
  const view = asked.get("view");
  const page = Number(asked.get("page"));
  const cursor = asked.get("cursor");
  return {
    view: views.includes(view) ? view : "referrals",
    referral: asked.get("referral"),
    cursor,
    page: cursor && Number.isSafeInteger(page) && page > 1 ? page : 1,
    filters: Object.fromEntries(filterNames.map((name) => [name, asked.get(name) ?? ""])),
  };
}

// The cursors of the pages before this one; a shared address comes without them.
const trail = () => history.state?.trail ?? [];

export function write(changes, { replace = false, by = null } = {}) {
  const now = read();
  const isElsewhere = "filters" in changes || "view" in changes;
  const next = { ...now, ...(isElsewhere ? { cursor: null, page: 1 } : {}), ...changes, filters: { ...now.filters, ...changes.filters } };
  const asked = new URLSearchParams();
  if (next.view !== "referrals") asked.set("view", next.view);
  for (const name of filterNames) if (next.filters[name]) asked.set(name, next.filters[name]);
  if (next.cursor) {
    asked.set("page", next.page);
    asked.set("cursor", next.cursor);
  }
  if (next.referral) asked.set("referral", next.referral);
  const path = asked.size ? `?${asked}` : location.pathname;
  if (path === (location.search || location.pathname)) return;
  history[replace ? "replaceState" : "pushState"]({ trail: by ?? (next.cursor ? trail() : []) }, "", path);
}

export function go(changes) {
  write(changes);
  for (const notify of watchers) notify(read());
}

// -- The pages of a list ------------------------------------------------------------------------

export function turnOn(cursor) {
  const now = read();
  write({ cursor, page: now.page + 1 }, { by: [...trail(), now.cursor] });
}

// To the page before, or to the first one where nothing tells the way.
export function turnBack() {
  const before = trail();
  const { page } = read();
  write({ cursor: before.at(-1) ?? null, page: before.length ? page - 1 : 1 }, { by: before.slice(0, -1) });
}

export function isWayBackKnown() {
  return trail().length > 0 || read().page <= 2;
}

export function toFirstPage() {
  write({ cursor: null, page: 1 }, { replace: true });
}

export function watch(notify) {
  watchers.push(notify);
}

// Everything that only concerns the list: a way into it begins with a clean slate.
export const noFilters = Object.fromEntries(filterNames.map((name) => [name, ""]));

window.addEventListener("popstate", () => { for (const notify of watchers) notify(read()); });
