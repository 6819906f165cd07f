// What the app's codes mean and what to do about them, in the reader's language; the server's own
// words, which are English, are there on demand.

import { element } from "./dom.js";
import { has, text } from "./texts.js";

// A message for people, where code stands between backticks.
export function prose(words) {
  return words.split(/`([^`]+)`/).map((part, place) => (place % 2 ? element("code", {}, part) : part)).filter((part) => part !== "");
}

// Words for a code; null if there are none.
export function explain(code) {
  if (!code) return null;
  if (has(`code_${code}`)) return text(`code_${code}`);
  if (/^AADSTS\d+$/.test(code)) return text("code_AADSTS", { code });
  const status = code.match(/^http_(\d+)$/)?.[1];
  return status ? text("code_http", { status }) : null;
}

// What it is, without what to do: for where there is no room.
export function brief(code) {
  return (explain(code) ?? code).split(/(?<=\.)\s/)[0].replace(/\.$/, "");
}

export function details(code, message) {
  if (!code && !message) return null;
  return element("details", { class: "server-words" }, element("summary", {}, text("details_in_english")),
    message && element("p", { lang: "en" }, prose(message)),
    code && element("p", { class: "quiet" }, `${text("error_code")}: `, element("code", {}, code)));
}

// Words in the reader's language where there are any, else the server's.
export function trouble(code, message, fallback = null) {
  const words = explain(code) ?? fallback;
  if (words) return [element("span", {}, prose(words)), details(code, message)];
  return [element("span", { lang: "en" }, prose(message || code || "")), message ? details(code, null) : null];
}

// A request that failed.
export function failed(answer) {
  return element("div", { class: "error", role: "alert" }, trouble(answer.status ? answer.body.code : "unreachable", answer.body.detail));
}
