// The customers' companies: what each of them has with us, and the way to their referrals.

import * as address from "./address.js";
import { call } from "./api.js";
import { button, dash, sinceCell, typeCount } from "./cells.js";
import { element, fill, find, moveBetween, say, switchOff } from "./dom.js";
import { failed } from "./explain.js";
import { amount, number, text } from "./texts.js";

const pageSize = 50;
const usualSort = "updated:desc";
const heads = [
  { name: "company", sort: "company", first: "asc" },
  { name: "company_types" },
  { name: "company_referrals", number: true },
  { name: "company_open", number: true },
  { name: "open_value", number: true },
  { name: "company_newest", sort: "updated", first: "desc" },
];

let view = address.noFilters;
let cursor = null;
let asking = null;
let last = null;
let trouble = null;
let onOpen = () => {};
let onRefused = () => {};

const place = () => find("#companies");
const sortOf = () => (/^(company|updated):(asc|desc)$/.test(view.sort) ? view.sort : usualSort);
const isFiltered = () => Boolean(view.q || view.several || view.open);

// -- Rows -------------------------------------------------------------------------------------

function row(company) {
  const name = company.company_name ?? company.domain_readable;
  const kinds = [["co-sell", company.co_sell_count], ["marketplace", company.marketplace_count], ["solution-provider", company.solution_provider_count], ["other", company.other_count]];
  const values = Object.entries(company.open_value);
  return element("tr", { "data-domain": company.domain, onclick: () => onOpen(company.domain) },
    element("td", { "data-cell": "company" },
      element("button", { type: "button", class: "company", title: text("show_company", { name }) }, name),
      element("span", { class: "below", title: company.domain }, company.domain_readable)),
    element("td", { "data-cell": "types" }, element("span", { class: "kinds" }, kinds.filter(([, count]) => count).map(([kind, count]) => typeCount(kind, count)))),
    element("td", { "data-cell": "referrals", class: "number", "data-head": text("company_referrals") }, number(company.referral_count)),
    element("td", { "data-cell": "open", class: "number", "data-head": text("company_open") }, number(company.open_count)),
    element("td", { "data-cell": "value", class: "number" }, values.length ? values.map(([currency, value]) => element("span", { class: "sum" }, amount(value, currency))) : dash()),
    element("td", { "data-cell": "updated" }, sinceCell(company.newest_updated_at)));
}

function showHeads() {
  const [sorted, direction] = sortOf().split(":");
  fill(find("#company-heads"), heads.map((head) => element("th", {
    scope: "col", "data-sort": head.sort, class: head.number ? "number" : null,
    "aria-sort": head.sort === sorted ? (direction === "asc" ? "ascending" : "descending") : null,
  }, head.sort ? element("button", { type: "button", onclick: () => sortBy(head) }, text(head.name)) : text(head.name))));
}

function sortBy({ sort, first }) {
  const [sorted, direction] = sortOf().split(":");
  const next = `${sort}:${sorted === sort ? (direction === "asc" ? "desc" : "asc") : first}`;
  ask({ sort: next === usualSort ? "" : next });
  find(`#company-heads th[data-sort="${sort}"] button`)?.focus();
}

function emptyWords(strong, hint, action = null) {
  fill(find("#company-empty"), element("strong", {}, strong), hint ?? "", action && element("p", { class: "actions" }, action));
  find("#company-empty").hidden = false;
}

export function show() {
  if (place().hidden) return;
  if (document.activeElement !== find("#company-q")) find("#company-q").value = view.q;
  find("#company-several").checked = Boolean(view.several);
  find("#company-open").checked = Boolean(view.open);
  showHeads();
  const focused = document.activeElement?.closest?.("#company-rows tr")?.dataset.domain;
  const companies = last?.companies ?? [];
  fill(find("#company-rows"), companies.map(row));
  if (focused) find(`#company-rows tr[data-domain="${CSS.escape(focused)}"] .company`)?.focus();
  fill(find("#company-empty"));
  find("#company-empty").hidden = companies.length > 0;
  if (trouble) emptyWords(text("companies_failed"), failed(trouble), button(text("retry"), () => load()));
  else if (!last) emptyWords(text("loading"));
  else if (!companies.length && isFiltered()) emptyWords(text("companies_empty_filtered"), text("empty_filtered_hint"), button(text("clear"), clear));
  else if (!companies.length) emptyWords(text("companies_empty"), text("companies_empty_hint"));
  const { page } = address.read();
  const from = (page - 1) * pageSize + 1;
  const values = { from, to: from + companies.length - 1, total: last?.total };
  say(find("#companies-shown"), companies.length ? text(last.total === null ? "companies_from" : "shown", values) : "");
  const isBusy = find("#company-frame").hasAttribute("aria-busy");
  switchOff(find("#company-back"), isBusy || page < 2);
  find("#company-back").textContent = text(address.isWayBackKnown() ? "previous" : "first_page");
  switchOff(find("#company-on"), isBusy || !last?.next_cursor);
}

// -- Asking -----------------------------------------------------------------------------------

export async function load({ quiet = false } = {}) {
  if (place().hidden) { last = null; return; }
  asking?.abort();
  const mine = new AbortController();
  asking = mine;
  const wanted = cursor;
  const asked = new URLSearchParams({ limit: String(pageSize), sort: sortOf() });
  if (view.q) asked.set("q", view.q);
  if (view.several) asked.set("several", "true");
  if (view.open) asked.set("open", "true");
  if (wanted) asked.set("cursor", wanted);
  if (!quiet) {
    find("#company-frame").setAttribute("aria-busy", "true");
    switchOff(find("#company-back"), true);
    switchOff(find("#company-on"), true);
  }
  let answer;
  try {
    answer = await call(`companies?${asked}`, { signal: mine.signal });
  } catch {
    return;
  }
  if (asking !== mine) return;
  find("#company-frame").removeAttribute("aria-busy");
  if (answer.status === 401 || answer.status === 403) { onRefused(answer); return; }
  // The place belongs to another time or filter: the list begins anew.
  if (answer.status === 400 && wanted) { address.toFirstPage(); cursor = null; await load(); return; }
  if (answer.ok || !quiet || !last) {
    trouble = answer.ok ? null : answer;
    last = answer.ok ? answer.body : null;
  }
  show();
}

// Another filter or sort: the list begins anew.
function ask(changes) {
  address.write({ view: "companies", filters: changes }, { replace: true });
  adopt(address.read());
}

function clear() {
  find("#company-q").value = "";
  ask({ q: "", several: "", open: "" });
}

function adopt(route) {
  ({ filters: view, cursor } = route);
  show();
  load();
}

export function showRoute(route) {
  const isSame = last && cursor === route.cursor && address.filterNames.every((name) => route.filters[name] === view[name]);
  if (isSame) show();
  else adopt(route);
}

function turn(change) {
  change();
  ({ cursor } = address.read());
  load();
  place().scrollIntoView();
}

export function start({ open, refused }) {
  onOpen = open;
  onRefused = refused;
  let typing;
  find("#company-q").addEventListener("input", (event) => {
    clearTimeout(typing);
    typing = setTimeout(() => ask({ q: event.target.value.trim() }), 200);
  });
  find("#company-several").addEventListener("change", (event) => ask({ several: event.target.checked ? "1" : "" }));
  find("#company-open").addEventListener("change", (event) => ask({ open: event.target.checked ? "1" : "" }));
  find("#company-on").addEventListener("click", () => turn(() => address.turnOn(last.next_cursor)));
  find("#company-back").addEventListener("click", () => turn(address.turnBack));
  moveBetween(find("#company-rows"));
}
