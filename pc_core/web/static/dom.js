// Elements, built from values: text is always a text node, so nothing needs escaping.

const present = (child) => child !== null && child !== undefined && child !== false;

function build(made, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (!present(value)) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.flat().filter(present));
  return made;
}

export function element(tag, properties = {}, ...children) {
  return build(document.createElement(tag), properties, children);
}

export function drawing(tag, properties = {}, ...children) {
  return build(document.createElementNS("http://www.w3.org/2000/svg", tag), properties, children);
}

export function fill(parent, ...children) {
  parent.replaceChildren(...children.flat().filter(present));
}

// The same, but what would look as before stays: neither focus nor a click that has begun is lost.
export function renew(parent, ...children) {
  const fresh = [...element("div", {}, ...children).childNodes];
  const old = [...parent.childNodes];
  fresh.forEach((child, place) => {
    if (!old[place]) parent.append(child);
    else if (!old[place].isEqualNode(child)) old[place].replaceWith(child);
  });
  for (const rest of old.slice(fresh.length)) rest.remove();
}

// Words in a live region: the same ones again would be read out again.
export function say(place, words) {
  if (place.textContent !== words) place.textContent = words;
}

export const find = (selector) => document.querySelector(selector);

// Off, yet within the keyboard's reach: whoever stands on it keeps the place.
export function switchOff(button, isOff) {
  button.setAttribute("aria-disabled", String(isOff));
}

document.addEventListener("click", (event) => {
  if (event.target.closest('[aria-disabled="true"]')) event.stopPropagation();
}, true);

export function recall(name) {
  try { return localStorage.getItem(name); } catch { return null; }
}

export function remember(name, value) {
  try { localStorage.setItem(name, value); } catch { /* storage may be switched off */ }
}

// The arrows lead from one row's button to the next one's.
export function moveBetween(rows) {
  rows.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const names = [...rows.querySelectorAll(".company")];
    const place = names.indexOf(document.activeElement);
    if (place < 0) return;
    event.preventDefault();
    names[Math.min(names.length - 1, Math.max(0, place + (event.key === "ArrowDown" ? 1 : -1)))].focus();
  });
}

// -- The one dialog ---------------------------------------------------------------------------

const dialog = find("#dialog");
let onClosed = null;

export function openDialog({ title, aside = null, small = false, closed = null, closeWord }, ...body) {
  // The same dialog with more in it has not been closed.
  if (onClosed && onClosed !== closed) onClosed();
  onClosed = closed;
  dialog.className = small ? "small" : "";
  const close = element("button", { type: "button", class: "close-button", "aria-label": closeWord, onclick: () => dialog.close() }, "×");
  const heading = element("h2", { tabindex: -1, id: "dialog-title" }, title);
  fill(dialog,
    element("div", { class: "dialog-head" }, element("div", {}, heading, aside), close),
    element("div", { class: "dialog-body" }, ...body));
  dialog.setAttribute("aria-labelledby", "dialog-title");
  if (!dialog.open) dialog.showModal();
  heading.focus();
  dialog.scrollTop = 0;
}

export function closeDialog() {
  if (dialog.open) dialog.close();
}

export function isDialogOpen() {
  return dialog.open;
}

dialog.addEventListener("close", () => {
  const notify = onClosed;
  onClosed = null;
  fill(dialog);
  notify?.();
});
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});
