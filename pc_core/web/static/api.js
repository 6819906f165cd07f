// The app's interface. Every answer is { ok, status, body, link }; a 401 is told to the page.

const base = "/api/v1/partner-center";
const keyName = "partner-center-api-key";

export const hasKey = () => sessionStorage.getItem(keyName) !== null;
export const setKey = (key) => sessionStorage.setItem(keyName, key);
export const forgetKey = () => sessionStorage.removeItem(keyName);

async function send(path, { method = "GET", body, signal } = {}) {
  const headers = { Accept: "application/json" };
  const key = sessionStorage.getItem(keyName);
  if (key) headers["X-API-Key"] = key;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  return fetch(path.startsWith("/") ? path : `${base}/${path}`, {
    method, headers, signal, credentials: "same-origin", redirect: "error",
    body: body === undefined ? undefined : JSON.stringify(body),
  });
}

export async function call(path, options = {}) {
  let answer;
  try {
    answer = await send(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    return { ok: false, status: 0, body: { code: "unreachable", detail: "" } };
  }
  let body;
  try {
    body = await answer.json();
  } catch {
    body = { code: `http_${answer.status}`, detail: "" };
  }
  return { ok: answer.ok, status: answer.status, body };
}

// A table in parts: each names the next one in its Link header.
export async function csvParts(path, onPart) {
  const parts = [];
  let rows = 0;
  let next = path;
  while (next) {
    let answer;
    try {
      answer = await send(next);
    } catch {
      return null;
    }
    if (!answer.ok) return null;
    parts.push(await answer.blob());
    rows += Number(answer.headers.get("X-Row-Count") ?? 0);
    onPart(rows);
    const link = answer.headers.get("Link") ?? "";
    const found = link.match(/<([^>]+)>;\s*rel="next"/);
    // Only the query is taken from the header: the path stays ours.
    next = found ? `${base}/referrals${new URL(found[1], location.origin).search}` : null;
  }
  return new Blob(parts, { type: "text/csv" });
}
