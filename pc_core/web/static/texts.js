// The page's words in the reader's language, and how it writes numbers, amounts and instants.

import { recall, remember } from "./dom.js";
import en from "./english.js";
import tr from "./turkish.js";

const dictionaries = { en, tr };
const remembered = "partner-center-language";

function firstLanguage() {
  const wished = [recall(remembered), ...navigator.languages].filter(Boolean);
  for (const language of wished) {
    const short = language.slice(0, 2).toLowerCase();
    if (short in dictionaries) return short;
  }
  return "en";
}

export let language = firstLanguage();

export function setLanguage(chosen) {
  language = chosen;
  remember(remembered, chosen);
}

export function has(name) {
  return Object.hasOwn(dictionaries[language], name);
}

// A text with forms takes the one that its language uses after `count`.
export function text(name, values = {}) {
  const found = dictionaries[language][name] ?? en[name] ?? name;
  const words = typeof found === "string" ? found : found[new Intl.PluralRules(language).select(values.count)] ?? found.other;
  return words.replace(/\{(\w+)\}/g, (_, key) => (typeof values[key] === "number" ? number(values[key]) : String(values[key] ?? "")));
}

// The visitor's own variant of the language, for dates and numbers.
function locale() {
  return navigator.languages.find((wished) => wished.slice(0, 2).toLowerCase() === language) ?? language;
}

// -- Words for instants, amounts and numbers -------------------------------------------------

const steps = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

export function relative(instant, now = Date.now()) {
  if (!instant) return text("never");
  const seconds = (new Date(instant).getTime() - now) / 1000;
  const [unit, size] = steps.find(([, length]) => Math.abs(seconds) >= length) ?? steps.at(-1);
  return new Intl.RelativeTimeFormat(locale(), { numeric: "auto" }).format(Math.round(seconds / size), unit);
}

export function utc(instant) {
  return instant ? `${new Date(instant).toISOString().slice(0, 19).replace("T", " ")} UTC` : "";
}

export function clock(instant) {
  return new Intl.DateTimeFormat(locale(), { hour: "2-digit", minute: "2-digit" }).format(new Date(instant));
}

// In the reader's own zone; a date without a time is the same everywhere.
const zoneOf = (instant) => (instant.length === 10 ? "UTC" : undefined);

export function day(instant) {
  return new Intl.DateTimeFormat(locale(), { day: "numeric", month: "short", year: "numeric", timeZone: zoneOf(instant) }).format(new Date(instant));
}

export function dayShort(instant) {
  return new Intl.DateTimeFormat(locale(), { day: "numeric", month: "short", timeZone: zoneOf(instant) }).format(new Date(instant));
}

// In the reader's own zone.
export function dateTime(instant) {
  return new Intl.DateTimeFormat(locale(), { dateStyle: "medium", timeStyle: "short" }).format(new Date(instant));
}

// A span of seconds, with the unit that a person would choose.
export function duration(seconds) {
  if (seconds > 0 && seconds < 0.1) return `< ${text("span_seconds", { count: new Intl.NumberFormat(locale()).format(0.1) })}`;
  const units = [["days", 86400], ["hours", 3600], ["minutes", 60]];
  const [unit, size] = units.find(([, length]) => seconds >= 2 * length || seconds === length) ?? ["seconds", 1];
  return text(`span_${unit}`, { count: new Intl.NumberFormat(locale(), { maximumFractionDigits: seconds < 10 ? 1 : 0 }).format(seconds / size) });
}

// A spreadsheet separates cells by semicolons where the comma is the decimal mark.
export function separatesBySemicolon() {
  return language === "tr" || new Intl.NumberFormat(navigator.language).format(1.5).includes(",");
}

export function countryName(code) {
  if (!/^[A-Z]{2}$/.test(code)) return code;
  return new Intl.DisplayNames([locale()], { type: "region" }).of(code) ?? code;
}

export function number(value) {
  return new Intl.NumberFormat(locale()).format(value);
}

// A currency is never guessed: without one the bare number says so.
export function amount(value, currency) {
  if (value === null || value === undefined) return null;
  if (/^[A-Za-z]{3}$/.test(currency ?? "")) {
    return new Intl.NumberFormat(locale(), { style: "currency", currency, currencyDisplay: "code" }).format(value);
  }
  return `${number(value)} ${currency || `(${text("no_currency")})`}`;
}

// How many people a company has, from Partner Center's codes such as 51to250employees.
export function companySize(code) {
  const [, from, to] = code.match(/^(\d+)to(\d+)employees$/) ?? [];
  if (to) return text("size_range", { from: Number(from), to: Number(to) });
  const more = code.match(/^Morethan(\d+)employees$/)?.[1];
  return more ? text("size_more", { count: Number(more) }) : code;
}
