// Talks to the service: calls, one file that is sent, and the token. What goes wrong is a `Problem`, always.

const KEPT = "uploadkit-token";
const PATIENCE = 15_000;

/** Who asks. The token is in the storage of this tab, where there is one, and goes to no other origin. */
export const access = {
  token: read(),
  keep(token) {
    access.token = token;
    try { sessionStorage.setItem(KEPT, token); } catch { /* a browser may forbid it: then it lasts until a reload */ }
  },
  forget() {
    access.token = null;
    try { sessionStorage.removeItem(KEPT); } catch { /* it was never there */ }
  },
};

function read() {
  try { return sessionStorage.getItem(KEPT); } catch { return null; }
}

/** What went wrong. `status` 0 is that there was no answer; `retryAfter` is in seconds, null where nothing is said. */
export class Problem extends Error {
  constructor(status, told = {}, retryAfter = null) {
    super(typeof told.detail === "string" && told.detail ? told.detail : usual(status));
    this.status = status;
    this.code = told.code ?? null;
    this.field = told.field ?? null;
    this.retryAfter = retryAfter;
  }

  /** Whether the same request may succeed in a while, though nobody does anything. */
  get isPassing() {
    return [0, 408, 423, 425, 429, 502, 503, 504].includes(this.status) || this.code === "idempotency_conflict";
  }
}

/** For answers that do not come from the service, but from what stands before it. */
function usual(status) {
  if (status === 0) return navigator.onLine ? "the connection was lost" : "this device went offline";
  if (status === 413) return "the file is too large for this service";
  if ([502, 503, 504].includes(status)) return "the service cannot be reached right now";
  return `the service answered with status ${status}`;
}

const {root} = document.documentElement.dataset;

/**
 * A path of the service, or an address as it says one, below the address of this page: it may stand below a prefix. Of
 * that the service says what an application has mounted it below, and not what a proxy takes off.
 */
export function address(path) {
  const below = path.startsWith(`${root}/`) ? path.slice(root.length) : path;
  return new URL(below.replace(/^\/+/, ""), document.baseURI).href;
}

function headers(more = {}) {
  return access.token === null ? more : {...more, Authorization: `Bearer ${access.token}`};
}

/** The answer, where it is a good one. Throws a `Problem`, or the `AbortError` of `signal`. */
export async function call(path, {headers: more, ...options} = {}) {
  let answer;
  try {
    answer = await fetch(address(path), {...options, headers: headers(more), cache: "no-store"});
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0);
  }
  if (answer.ok) return answer;
  throw new Problem(answer.status, parsed(await answer.text().catch(() => "")), after(answer.headers.get("Retry-After")));
}

/** The signal of a request that is quickly answered, or not at all: after so long the connection is taken for lost. */
export const soon = () => AbortSignal.timeout(PATIENCE);

/** The JSON of an answer. */
export async function ask(path, options) {
  const answer = await call(path, options);
  try {
    return await answer.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0);  // it was cut off
  }
}

/**
 * Sends one file in a request of its own. `progress(sent, whole)` is told as bytes go out, `whole` having gone out once
 * `sent` is the same. Resolves to the upload as the service has taken it.
 */
export async function send(file, {key, fields, progress, signal}) {
  const body = new FormData();
  for (const [name, value] of Object.entries(fields)) if (value) body.append(name, value);
  body.append("file", file, file.name);
  const answer = await transfer("POST", "uploads", {headers: {"Idempotency-Key": key}, body, progress, signal});
  const told = parsed(answer.responseText);
  if (answer.status === 202 && told.uploads?.length) return told.uploads[0];
  throw refusal(answer);
}

/** A request whose body is large. Resolves to its answer, whatever that says, which is an `XMLHttpRequest`. */
export function transfer(method, path, {headers: more, body, progress, signal}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();  // fetch tells no progress
    const stop = () => request.abort();
    request.upload.onprogress = event => progress(event.loaded, event.total);
    request.upload.onload = event => progress(event.loaded, event.loaded);
    request.onload = () => resolve(request);
    request.onerror = () => reject(new Problem(0));
    request.onabort = () => reject(new DOMException("stopped", "AbortError"));
    request.onloadend = () => signal.removeEventListener("abort", stop);
    signal.addEventListener("abort", stop);
    request.open(method, address(path));
    for (const [name, value] of Object.entries(headers(more))) request.setRequestHeader(name, value);
    request.send(body);
  });
}

/** What an answer of `transfer` says that is not the one that was asked for. */
export function refusal(answer) {
  // A good status without what it promises is an answer of somebody else.
  const status = answer.status < 300 ? 502 : answer.status;
  return new Problem(status, parsed(answer.responseText), after(answer.getResponseHeader("Retry-After")));
}

/**
 * The upload that came with a key whose answer was lost; null where nothing came of it. A form without a file is sent
 * with the same key: the service answers as it did then, or refuses the form, and nothing is stored.
 */
export async function whatCameOf(key, signal) {
  try {
    const told = await ask("uploads", {method: "POST", headers: {"Idempotency-Key": key}, body: new FormData(), signal});
    return told.uploads[0];
  } catch (problem) {
    if ([400, 415, 422].includes(problem.status)) return null;
    throw problem;
  }
}

function parsed(text) {
  try {
    const told = JSON.parse(text);
    return typeof told === "object" && told !== null ? told : {};
  } catch {
    return {};
  }
}

/** Retry-After is a number of seconds, or a date. */
function after(value) {
  if (value === null || value.trim() === "") return null;
  const seconds = /^\d+$/.test(value.trim()) ? Number(value) : (Date.parse(value) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, seconds) : null;
}

/** Resolves after so many milliseconds. Rejects with `AbortError` once `signal` is aborted. */
export function wait(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(new DOMException("stopped", "AbortError"));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    if (signal?.aborted) stop();
    signal?.addEventListener("abort", stop, {once: true});
  });
}
