// The referrals: filters, columns, sorting, pages, rows.

import * as address from "./address.js";
import { call, csvParts } from "./api.js";
import { away, badge, button, dash, dayCell, expiry, money, partnerCenter, sinceCell, stateBadge, word } from "./cells.js";
import { element, fill, find, moveBetween, recall, remember, say, switchOff } from "./dom.js";
import { failed } from "./explain.js";
import { amount, countryName, day, number, separatesBySemicolon, text } from "./texts.js";

const pageSize = 50;
const usualSort = "updated:desc";
const columnsKey = "partner-center-columns";
const firstDirection = { company: "asc", expires: "asc", deal_value: "desc", updated: "desc", created: "desc" };

// In the order of the table; `sort` is the interface's name for it.
const columns = [
  { name: "type", cell: (referral) => badge(referral.referral_type) },
  { name: "company", sort: "company", cell: company, fixed: true },
  { name: "status", cell: (referral) => [stateBadge(referral.status), referral.substatus && element("span", { class: "below" }, word("substatus", referral.substatus))] },
  { name: "direction", cell: (referral) => (referral.direction ? word("direction", referral.direction) : dash()) },
  { name: "country", cell: (referral) => (referral.customer_country ? countryName(referral.customer_country) : dash()) },
  { name: "deal_value", sort: "deal_value", number: true, cell: money },
  { name: "closing", cell: (referral) => dayCell(referral.closing_at) },
  { name: "expires", sort: "expires", cell: expiry },
  { name: "created", sort: "created", cell: (referral) => dayCell(referral.pc_created_at) },
  { name: "updated", sort: "updated", cell: (referral) => sinceCell(referral.pc_updated_at) },
  { name: "link", cell: linkOut },
];
const usualColumns = ["type", "company", "status", "direction", "deal_value", "closing", "expires", "updated", "link"];

let view = address.noFilters;
let chosen = recallColumns();
let cursor = null;
let asking = null;
let last = null;
let countries = null;
let since = null;
let isExporting = false;
let onOpen = () => {};
let onRefused = () => {};

function recallColumns() {
  const kept = recall(columnsKey)?.split(",").filter((name) => columns.some((column) => column.name === name));
  return new Set(kept?.length ? [...kept, "company"] : usualColumns);
}

const shownColumns = () => columns.filter((column) => chosen.has(column.name));

// -- Rows -------------------------------------------------------------------------------------

function company(referral) {
  const grouped = Boolean(view.group);
  const name = grouped ? referral.name ?? referral.company_name : referral.company_name ?? referral.name;
  const domain = referral.domain
    ? element("span", { class: "below", title: referral.domain }, referral.domain_readable ?? referral.domain)
    : element("span", { class: "below none" }, text("no_domain"));
  return [
    element("button", { type: "button", class: `company${name ? "" : " none"}` }, name ?? text(grouped ? "no_name" : "no_company")),
    grouped ? null : domain,
    referral.missing_since && element("span", { class: "below near" }, text("missing_since", { when: day(referral.missing_since) })),
  ];
}

function linkOut(referral) {
  const name = referral.company_name ?? referral.name ?? referral.referral_id;
  const link = away(partnerCenter(referral.referral_id), element("span", { "aria-hidden": "true" }, "↗"), element("span", { class: "hidden-text" }, text("open_pc_of", { name })));
  link.className = "out";
  link.title = text("open_pc");
  link.addEventListener("click", (event) => event.stopPropagation());
  return link;
}

function row(referral) {
  return element("tr", { "data-id": referral.referral_id, onclick: () => onOpen(referral.referral_id) },
    shownColumns().map((column) => element("td", { "data-cell": column.name, class: column.number ? "number" : null }, [column.cell(referral)].flat())));
}

const groupOf = (referral) => referral.domain ?? `name:${referral.company_name ?? ""}`;

function groupHead(referral, count) {
  const name = referral.company_name ?? text("no_company");
  return element("tr", { class: "group" }, element("th", { scope: "rowgroup", colspan: shownColumns().length },
    element("span", { class: "group-name" }, name),
    element("span", { class: "group-domain" }, referral.domain_readable ?? text("no_domain")),
    element("span", { class: "group-count" }, text("on_this_page", { count })),
    referral.domain && button(text("whole_company"), () => ask({ ...address.noFilters, domain: referral.domain }), "plain inline")));
}

function rows(referrals) {
  if (!view.group) return referrals.map(row);
  const groups = new Map();
  for (const referral of referrals) {
    const group = groupOf(referral);
    if (groups.has(group)) groups.get(group).push(referral);
    else groups.set(group, [referral]);
  }
  return [...groups.values()].flatMap((members) => [groupHead(members[0], members.length), ...members.map(row)]);
}

// -- Asking -----------------------------------------------------------------------------------

function sortOf() {
  if (view.group) return view.sort.startsWith("company:") ? view.sort : "company:asc";
  return /^(company|expires|deal_value|updated|created|synced):(asc|desc)$/.test(view.sort) ? view.sort : usualSort;
}

function parameters() {
  const asked = new URLSearchParams();
  for (const name of ["q", "type", "status", "direction", "country", "domain", "attention"]) if (view[name]) asked.set(name, view[name]);
  if (view.expiring) asked.set("expiring_within_days", view.expiring);
  if (view.no_domain) asked.set("domain_missing", "true");
  if (view.attention === "new" && since) asked.set("seen_since", since);
  asked.set("sort", sortOf());
  return asked;
}

function isFiltered() {
  return address.filterNames.some((name) => name !== "sort" && name !== "group" && view[name]);
}

function emptyWords(strong, hint, ...actions) {
  fill(find("#empty"), element("strong", {}, strong), hint ?? "", actions.length > 0 && element("p", { class: "actions" }, actions));
  find("#empty").hidden = false;
}

export async function load({ quiet = false } = {}) {
  // Another view's place and words are not ours; whoever comes back here asks anew.
  if (find("#referrals").hidden) { last = null; return; }
  asking?.abort();
  const mine = new AbortController();
  asking = mine;
  const asked = parameters();
  asked.set("limit", String(pageSize));
  const wanted = cursor;
  if (wanted) asked.set("cursor", wanted);
  if (quiet) {
    loadCompany({ again: true });
  } else {
    find("#table-frame").setAttribute("aria-busy", "true");
    switchOff(find("#page-back"), true);
    switchOff(find("#page-on"), true);
    if (!last) emptyWords(text("loading"));
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
    // The place belongs to another time or filter: the list begins anew.
    if (answer.status === 400 && wanted) { address.toFirstPage(); cursor = null; await load(); return; }
    if (quiet && last) { showPages(); return; }
    last = null;
    fill(find("#rows"));
    find("#shown").textContent = "";
    emptyWords(text("load_failed"), failed(answer), button(text("retry"), () => load()));
    return;
  }
  show(answer.body);
}

function show(answer) {
  last = answer;
  const { referrals } = answer;
  const focused = document.activeElement?.closest?.("#rows tr")?.dataset.id;
  fill(find("#rows"), rows(referrals));
  if (focused) find(`#rows tr[data-id="${CSS.escape(focused)}"] .company`)?.focus();
  fill(find("#empty"));
  find("#empty").hidden = referrals.length > 0;
  if (!referrals.length) {
    if (isFiltered()) emptyWords(text("empty_filtered"), text("empty_filtered_hint"), button(text("clear"), () => ask(address.noFilters)));
    else emptyWords(text("empty"), text("empty_hint"));
  }
  showPages();
  showExport();
}

function showPages() {
  const { page } = address.read();
  const { length } = last.referrals;
  const from = (page - 1) * pageSize + 1;
  const values = { from: number(from), to: number(from + length - 1), total: number(last.total) };
  say(find("#shown"), length ? text(last.total_is_exact ? "shown" : "shown_more", values) : "");
  const isBusy = find("#table-frame").hasAttribute("aria-busy");
  switchOff(find("#page-back"), isBusy || page < 2);
  find("#page-back").textContent = text(address.isWayBackKnown() ? "previous" : "first_page");
  switchOff(find("#page-on"), isBusy || !last.next_cursor);
}

// Another filter or sort: the list begins anew.
function ask(changes) {
  address.write({ view: "referrals", filters: changes }, { replace: true });
  adopt(address.read());
}

function adopt(route) {
  fill(find("#csv-trouble"));
  view = route.filters;
  cursor = route.cursor;
  showFilters();
  load();
}

// -- The company that is looked at --------------------------------------------------------------

let card = null;

async function loadCompany({ again = false } = {}) {
  const wanted = view.domain;
  if (card && card.domain !== wanted) card = null;
  showCompany();
  if (!wanted || (card && !again)) return;
  const answer = await call(`companies/${encodeURIComponent(wanted)}`);
  if (view.domain !== wanted) return;
  if (answer.ok) card = answer.body;
  showCompany();
}

function showCompany() {
  const place = find("#company-card");
  place.hidden = !view.domain || !card;
  if (place.hidden) { fill(place); return; }
  const kinds = [["co-sell", card.co_sell_count], ["marketplace", card.marketplace_count], ["solution-provider", card.solution_provider_count], ["other", card.other_count]];
  const values = Object.entries(card.open_value);
  fill(place,
    element("div", {},
      element("h2", {}, card.company_name ?? card.domain_readable),
      element("p", { class: "quiet" }, card.domain_readable)),
    element("dl", { class: "figures" },
      element("div", {}, element("dt", {}, text("figure_referrals")), element("dd", {}, number(card.referral_count))),
      element("div", {}, element("dt", {}, text("figure_open")), element("dd", {}, number(card.open_count))),
      element("div", {}, element("dt", {}, text("open_value")), element("dd", {}, values.length ? values.map(([currency, value]) => element("span", { class: "sum" }, amount(value, currency))) : "–"))),
    element("p", { class: "kinds" }, kinds.filter(([, count]) => count).map(([kind, count]) => element("span", {}, badge(kind), ` ${number(count)}`))));
}

// -- Filters, columns, heads --------------------------------------------------------------------

function chip(words, name) {
  return element("span", { class: "chip" }, words,
    element("button", { type: "button", "aria-label": text("remove_filter", { name: words }), onclick: () => ask({ [name]: "" }) }, "×"));
}

function showChips() {
  fill(find("#chips"),
    view.domain && chip(text("of_company", { name: view.domain }), "domain"),
    view.attention && chip(text(`attention_${view.attention}`), "attention"));
}

function showCountries() {
  const select = find("#filter-country");
  const known = Object.entries(countries ?? {});
  if (view.country && !countries?.[view.country]) known.unshift([view.country, null]);
  fill(select, element("option", { value: "" }, text("any_country")),
    known.map(([code, count]) => element("option", { value: code }, count === null ? countryName(code) : `${countryName(code)} (${number(count)})`)));
  select.value = view.country;
}

function showHeads() {
  const [sorted, direction] = sortOf().split(":");
  fill(find("#heads"), shownColumns().map((column) => {
    const name = text(column.name === "link" ? "link_head" : column.name);
    if (!column.sort) return element("th", { scope: "col", class: column.number ? "number" : null }, column.name === "link" ? element("span", { class: "hidden-text" }, name) : name);
    return element("th", {
      scope: "col", "data-sort": column.sort, class: column.number ? "number" : null,
      "aria-sort": column.sort === sorted ? (direction === "asc" ? "ascending" : "descending") : null,
    }, element("button", { type: "button", onclick: () => sortBy(column.sort) }, name));
  }));
}

function sortBy(name) {
  const [sorted, direction] = sortOf().split(":");
  const next = `${name}:${sorted === name ? (direction === "asc" ? "desc" : "asc") : firstDirection[name]}`;
  ask({ sort: next === usualSort ? "" : next, group: name === "company" ? view.group : "" });
  find(`th[data-sort="${name}"] button`)?.focus();
}

function showColumns() {
  const list = find("#column-list");
  fill(list, list.querySelector("legend"), columns.filter((column) => !column.fixed).map((column) => {
    const box = element("input", { type: "checkbox", checked: chosen.has(column.name), onchange: (event) => choose(column.name, event.target.checked) });
    return element("label", { class: "check" }, box, text(column.name === "link" ? "link_head" : column.name));
  }));
}

function choose(name, wanted) {
  if (wanted) chosen.add(name);
  else chosen.delete(name);
  remember(columnsKey, columns.filter((column) => chosen.has(column.name)).map((column) => column.name).join(","));
  showHeads();
  if (last) show(last);
}

export function showFilters() {
  if (document.activeElement !== find("#filter-q")) find("#filter-q").value = view.q;
  for (const name of ["status", "direction", "expiring"]) {
    const select = find(`#filter-${name}`);
    select.value = view[name];
    if (select.selectedIndex < 0) select.value = "";
  }
  find("#filter-no-domain").checked = Boolean(view.no_domain);
  find("#view-group").checked = Boolean(view.group);
  find("#filter-clear").hidden = !isFiltered();
  for (const choice of document.querySelectorAll("#filter-type button")) {
    choice.setAttribute("aria-pressed", String(choice.dataset.value === view.type));
    if (choice.dataset.value) fill(choice, ...badge(choice.dataset.value).childNodes);
  }
  showCountries();
  showChips();
  showHeads();
  showColumns();
  loadCompany();
  if (last) show(last);
}

// -- Export -----------------------------------------------------------------------------------

async function saveCsv() {
  const pressed = find("#csv-button");
  isExporting = true;
  showExport();
  fill(find("#csv-trouble"));
  const separator = separatesBySemicolon() ? "&separator=semicolon" : "";
  const made = await csvParts(`referrals?${parameters()}&format=csv${separator}`, (count) => { pressed.textContent = text("csv_busy", { count }); });
  isExporting = false;
  pressed.textContent = text("csv");
  showExport();
  if (made.ok) {
    const link = element("a", { href: URL.createObjectURL(made.body), download: `partner-center-referrals-${new Date().toISOString().slice(0, 10)}.csv` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  } else if (made.status === 401) {
    onRefused(made);
  } else {
    fill(find("#csv-trouble"), element("strong", {}, text("csv_failed")), failed(made));
  }
}

// One at a time, whatever the list does meanwhile.
function showExport() {
  switchOff(find("#csv-button"), isExporting || !last?.referrals.length);
}

// -- Start ------------------------------------------------------------------------------------

export function showRoute(route) {
  const isSame = last && cursor === route.cursor && address.filterNames.every((name) => route.filters[name] === view[name]);
  if (!isSame) adopt(route);
}

export function setSince(instant) {
  since = instant;
}

export function setCountries(found) {
  countries = found;
  showCountries();
}

function turn(change) {
  change();
  cursor = address.read().cursor;
  load();
  find("#referrals").scrollIntoView();
}

export function start({ open, refused }) {
  onOpen = open;
  onRefused = refused;
  ({ filters: view, cursor } = address.read());
  let typing;
  find("#filter-q").addEventListener("input", (event) => {
    clearTimeout(typing);
    typing = setTimeout(() => ask({ q: event.target.value.trim() }), 200);
  });
  find("#filter-type").addEventListener("click", (event) => {
    const pressed = event.target.closest("button");
    if (pressed) ask({ type: pressed.dataset.value });
  });
  for (const name of ["status", "direction", "country", "expiring"]) {
    find(`#filter-${name}`).addEventListener("change", (event) => ask({ [name]: event.target.value }));
  }
  find("#filter-no-domain").addEventListener("change", (event) => ask({ no_domain: event.target.checked ? "1" : "" }));
  find("#view-group").addEventListener("change", (event) => ask({ group: event.target.checked ? "1" : "" }));
  find("#filter-clear").addEventListener("click", () => { find("#filter-q").value = ""; ask({ ...address.noFilters, sort: view.sort, group: view.group }); find("#filter-q").focus(); });
  find("#page-on").addEventListener("click", () => turn(() => address.turnOn(last.next_cursor)));
  find("#page-back").addEventListener("click", () => turn(address.turnBack));
  find("#csv-button").addEventListener("click", saveCsv);
  find("#filter-more").addEventListener("click", (event) => {
    const isOpen = event.currentTarget.getAttribute("aria-expanded") !== "true";
    event.currentTarget.setAttribute("aria-expanded", String(isOpen));
    find("#filters").classList.toggle("open", isOpen);
  });
  moveBetween(find("#rows"));
  const menu = find("#column-menu");
  document.addEventListener("click", (event) => { if (!menu.contains(event.target)) menu.open = false; });
  menu.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { menu.open = false; menu.querySelector("summary").focus(); }
  });
}
