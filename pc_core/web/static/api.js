// The app's interface. Every answer is { ok, status, body, key }: `status` 0 where none could be read,
// `key` the one that was sent with the request.

const base = "/api/v1/partner-center";
const keyName = "partner-center-api-key";
// An app that wakes up needs up to half of it.
const patienceMs = 60000;

export const currentKey = () => sessionStorage.getItem(keyName);
export const setKey = (key) => sessionStorage.setItem(keyName, key);
export const forgetKey = () => sessionStorage.removeItem(keyName);

function send(path, key, { method = "GET", body, signal }) {
  const headers = { Accept: "application/json" };
  if (key) headers["X-API-Key"] = key;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  return fetch(path.startsWith("/") ? path : `${base}/${path}`, {
    method, headers, signal, credentials: "same-origin", redirect: "error",
    body: body === undefined ? undefined : JSON.stringify(body),
  });
}

async function ask(path, options, read) {
  const key = currentKey();
  let answer;
  try {
    answer = await send(path, key, options);
    const body = await (answer.ok ? read(answer) : answer.json());
    if (!answer.ok && typeof body?.code !== "string") throw new TypeError("not this app's words");
    return { ok: answer.ok, status: answer.status, body, headers: answer.headers, key };
  } catch (error) {
    if (error.name === "AbortError") throw error;
    // Half a success, or somebody else's page in place of one, is no success.
    const status = answer && !answer.ok ? answer.status : 0;
    return { ok: false, status, body: { code: status ? `http_${status}` : "unreachable", detail: "" }, key };
  }
}

export function call(path, { signal, ...options } = {}) {
  // A run takes as long as it takes.
  const signals = [signal, options.method ? null : AbortSignal.timeout(patienceMs)].filter(Boolean);
  return ask(path, { ...options, signal: AbortSignal.any(signals) }, (answer) => answer.json());
}

// A table in parts: each names the next one in its Link header. The body is the whole of it.
export async function csvParts(path, onPart) {
  const parts = [];
  let rows = 0;
  let next = path;
  while (next) {
    const answer = await ask(next, {}, (part) => part.blob());
    if (!answer.ok) return answer;
    parts.push(answer.body);
    rows += Number(answer.headers.get("X-Row-Count") ?? 0);
    onPart(rows);
    const found = (answer.headers.get("Link") ?? "").match(/<([^>]+)>;\s*rel="next"/);
    // Only the query is taken from the header: the path stays ours.
    next = found ? `${base}/referrals${new URL(found[1], location.origin).search}` : null;
  }
  return { ok: true, body: new Blob(parts, { type: "text/csv" }) };
}
