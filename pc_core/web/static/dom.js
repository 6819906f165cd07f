// Elements, built from values: text is always a text node, so nothing needs escaping.

export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "class") made.className = value;
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

export function fill(parent, ...children) {
  parent.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
}

export const find = (selector) => document.querySelector(selector);

// -- The one dialog ---------------------------------------------------------------------------

const dialog = find("#dialog");
let onClosed = null;

export function openDialog({ title, aside = null, small = false, closed = null, closeWord }, ...body) {
  onClosed?.();
  onClosed = closed;
  dialog.className = small ? "small" : "";
  const close = element("button", { type: "button", class: "close-button", "aria-label": closeWord, onclick: () => dialog.close() }, "×");
  fill(dialog,
    element("div", { class: "dialog-head" }, element("div", {}, element("h2", { tabindex: -1, autofocus: true }, title), aside), close),
    element("div", { class: "dialog-body" }, ...body));
  dialog.setAttribute("aria-label", typeof title === "string" ? title : title.textContent);
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}

export function closeDialog() {
  dialog.close();
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
