// How single facts look, wherever they appear.

import { element, say } from "./dom.js";
import { amount, day, has, number, relative, text, utc } from "./texts.js";

export const types = ["co-sell", "marketplace", "solution-provider"];
const letters = { "co-sell": "C", marketplace: "M", "solution-provider": "S" };

export const dash = () => element("span", { class: "none" }, "–");

export const kindOf = (type) => (types.includes(type) ? type : "other");

// Colour, shape and letter each tell the type on their own.
export function badge(type) {
  const kind = kindOf(type);
  return element("span", { class: `badge ${kind}` },
    element("span", { class: `mark ${kind}`, "aria-hidden": "true" }, letters[kind] ?? "?"),
    text(`type_${kind}`));
}

// The same, with how many there are; the type's name is spoken and shown on hover.
export function typeCount(type, count) {
  const kind = kindOf(type);
  const name = text(`type_${kind}`);
  return element("span", { class: `badge ${kind}`, title: name },
    element("span", { class: `mark ${kind}`, "aria-hidden": "true" }, letters[kind] ?? "?"),
    element("span", { class: "hidden-text" }, `${name} `), number(count));
}

// A code that has no words, such as ProjectServices or new_reason, as words of its own language.
export function readable(code) {
  return /^\w+$/.test(code) ? code.replaceAll("_", " ").replace(/([a-z])([A-Z])/g, "$1 $2") : code;
}

// Partner Center's words where we have none for them.
export function word(group, value) {
  return has(`${group}_${value}`) ? text(`${group}_${value}`) : readable(value);
}

export function stateBadge(status) {
  const known = has(`status_${status}`);
  return element("span", { class: `state ${known ? status : ""}` }, status ? word("status", status) : "–");
}

export function daysLeft(referral) {
  const left = referral.days_to_expiry;
  if (left < 0) return text("expired");
  return left === 0 ? text("less_than_a_day") : text("days_left", { count: left });
}

// Only an unanswered referral can still expire.
export function canExpire(referral) {
  return Boolean(referral.expires_at) && referral.status === "New" && !referral.missing_since;
}

export function expiry(referral) {
  if (!canExpire(referral)) return dash();
  const left = referral.days_to_expiry;
  const urgency = left < 0 ? "none" : left <= 2 ? "soon" : left <= 6 ? "near" : "";
  return element("span", { title: utc(referral.expires_at) },
    element("span", { class: `nowrap ${urgency}` }, daysLeft(referral)),
    element("span", { class: "below nowrap" }, day(referral.expires_at)));
}

export function money(referral) {
  return amount(referral.deal_value, referral.currency) ?? dash();
}

export function dayCell(instant) {
  return instant ? element("time", { class: "nowrap", datetime: instant, title: utc(instant) }, day(instant)) : dash();
}

export function sinceCell(instant) {
  return instant ? element("time", { class: "nowrap since", datetime: instant, title: utc(instant) }, relative(instant)) : dash();
}

// What is "3 seconds ago" does not stay so.
setInterval(() => {
  for (const place of document.querySelectorAll("time.since")) say(place, relative(place.dateTime));
}, 60000);

// Where Partner Center shows this referral.
export function partnerCenter(id) {
  return `https://partner.microsoft.com/dashboard/referrals/${encodeURIComponent(id)}`;
}

export function away(href, ...children) {
  return element("a", { href, target: "_blank", rel: "noopener noreferrer" }, ...children);
}

export function button(words, press, kind = "") {
  return element("button", { type: "button", class: `button ${kind}`, onclick: press }, words);
}

export function copyButton(words, value, kind = "") {
  return button(words, async (event) => {
    const pressed = event.currentTarget;
    try {
      await navigator.clipboard.writeText(value);
      pressed.textContent = text("copied");
    } catch {
      pressed.textContent = text("copy_failed");
    }
    setTimeout(() => { pressed.textContent = words; }, 1500);
  }, kind);
}
