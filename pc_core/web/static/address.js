// What the address says is what is shown: the view, its filters, and what lies open over it.

const views = ["referrals", "attention", "health"];
const watchers = [];

export const filterNames = ["q", "type", "status", "direction", "country", "expiring", "domain", "no_domain", "attention", "group", "sort"];

export function read() {
  const asked = new URLSearchParams(location.search);
  const view = asked.get("view");
  return {
    view: views.includes(view) ? view : "referrals",
    referral: asked.get("referral"),
    filters: Object.fromEntries(filterNames.map((name) => [name, asked.get(name) ?? ""])),
  };
}

export function write(changes, { replace = false } = {}) {
  const now = read();
  const next = { ...now, ...changes, filters: { ...now.filters, ...changes.filters } };
  const asked = new URLSearchParams();
  if (next.view !== "referrals") asked.set("view", next.view);
  for (const name of filterNames) if (next.filters[name]) asked.set(name, next.filters[name]);
  if (next.referral) asked.set("referral", next.referral);
  const path = asked.size ? `?${asked}` : location.pathname;
  if (path === (location.search || location.pathname)) return;
  history[replace ? "replaceState" : "pushState"](null, "", path);
}

export function go(changes) {
  write(changes);
  for (const notify of watchers) notify(read());
}

export function watch(notify) {
  watchers.push(notify);
}

// Everything that only concerns the list: a way into it begins with a clean slate.
export const noFilters = Object.fromEntries(filterNames.map((name) => [name, ""]));

window.addEventListener("popstate", () => { for (const notify of watchers) notify(read()); });
