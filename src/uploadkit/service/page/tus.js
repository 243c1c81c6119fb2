// A large file, in pieces: tus 1.0.0 (https://tus.io/protocols/resumable-upload). What has arrived stays, whatever
// happens to the line, the page or the service: it goes on from there.

import {Problem, ask, call, refusal, soon, transfer} from "./service.js";
import {claim, forget, remember} from "./unfinished.js";

/** A file with more bytes goes in pieces. A smaller one is sent again as quickly, and in one request. */
export const LARGE = 16_000_000;

const EACH = {"Tus-Resumable": "1.0.0"};
const OFFSET_TYPE = "application/offset+octet-stream";

// A browser reads an answer when it has sent all of a request: by these bytes the service knows the type.
const FIRST = 65_536;
// So long a piece takes, within bounds: a proxy may keep it back until it is whole, and each has its price.
const SECONDS = 4;
const LEAST = 8_000_000;
const MOST = 64_000_000;

const LINGER = 4_000;  // less than somebody is waited for who forgets the token
const CONFLICTS = 3;
const REFUSED = new Set([413, 415, 422]);

/** One file and its upload: `id` null before that is begun and when it is over, `offset` the bytes that are there. */
export class Pieces {
  #size = LEAST;
  #letGo = null;
  #beganAgain = false;
  #conflicts = 0;

  /** `known` is what was remembered of its upload. */
  constructor(file, {folder = "", fields = {}, known = null}) {
    this.file = file;
    this.folder = folder;
    this.fields = known?.fields ?? fields;
    this.id = known?.id ?? null;
    this.offset = known?.offset ?? 0;
    this.expires = known?.expires ?? null;
  }

  /**
   * Sends what is missing. `progress(sent, whole)` as of `send`; `kept()` is told whenever more is there for good.
   * Resolves to the upload. Throws a `Problem`, or the `AbortError` of `signal`.
   */
  async send({progress, kept, signal}) {
    for (let isAsked = false;;) {
      try {
        const before = this.offset;
        if (!isAsked) await this.#find(signal);
        isAsked = true;
        if (this.offset > before) kept();  // and its answer was lost
        progress(this.offset, this.file.size);
        while (this.offset < this.file.size) {
          await this.#add(progress, signal);
          this.#beganAgain = false;
          this.#conflicts = 0;
          kept();
        }
        const upload = {id: this.id, filename: this.file.name, status: "staged"};
        this.#over();
        return upload;
      } catch (problem) {
        isAsked = false;
        if (problem.code === "offset_conflict" && (this.#conflicts += 1) <= CONFLICTS) continue;
        if (REFUSED.has(problem.status)) await this.giveUp().catch(() => {});  // it is gone, if the service has said so
        if (!isGone(problem) || this.id === null || this.#beganAgain) throw problem;
        this.#beganAgain = true;
        if (problem.status === 410) this.#over();
        else this.#leave();  // after a 401 it may be another's, who comes back to it
      }
    }
  }

  /** Leaves nothing of it at the service, however much had arrived. */
  async giveUp() {
    if (this.id === null) return;
    await giveUp(this.id);
    this.#over();
  }

  /** Where its upload stands: it is asked for, or begun. */
  async #find(signal) {
    if (this.id !== null && !this.#letGo && (this.#letGo = await claim(this.id)) === null) {
      this.id = null;  // another tab goes on with that one
      this.offset = 0;
    }
    if (this.id === null) await this.#begin(signal);
    else this.#stands(await standing(this.id, signal));
    signal.throwIfAborted();
  }

  async #begin(signal) {
    signal.throwIfAborted();
    const headers = {...EACH, "Upload-Length": this.file.size, "Upload-Metadata": metadata(this.file, this.fields)};
    const answer = await call("tus/", {method: "POST", headers, signal: lingering(signal)});
    const id = answer.headers.get("Location")?.split("/").at(-1);
    if (!id) throw new Problem(502);
    this.id = id;
    this.#letGo = await claim(id);
    this.#stands({offset: 0, expires: answer.headers.get("Upload-Expires")});
  }

  async #add(progress, signal) {
    const {offset, file} = this;
    const end = Math.min(file.size, offset === 0 ? FIRST : offset + this.#size);
    const headers = {...EACH, "Content-Type": OFFSET_TYPE, "Upload-Offset": offset};
    const told = sent => progress(offset + Math.min(sent, end - offset), file.size);
    const began = performance.now();
    let answer;
    try {
      answer = await transfer("PATCH", `tus/${this.id}`, {headers, body: file.slice(offset, end), progress: told, signal});
    } catch (problem) {
      if (problem.status === 0) await expectReadable(file, offset);
      throw problem;
    }
    const now = number(answer.getResponseHeader("Upload-Offset"));
    if (answer.status !== 204 || now === null || now <= offset || now > file.size) throw refusal(answer);
    if (offset > 0) this.#size = Math.min(MOST, Math.max(LEAST, (now - offset) / (performance.now() - began) * 1000 * SECONDS));
    this.#stands({offset: now, expires: answer.getResponseHeader("Upload-Expires")});
  }

  #stands({offset, expires}) {
    this.offset = offset;
    this.expires = expires ?? this.expires;
    const {file, folder, fields} = this;
    remember(this.id, file, {folder, fields, offset, expires: this.expires});
  }

  #over() {
    forget(this.id);
    this.#leave();
  }

  #leave() {
    this.#letGo?.();
    this.#letGo = null;
    this.id = null;
    this.offset = 0;
  }
}

/**
 * Follows `signal`: at once where that says that the connection is lost, and a little later where somebody stops. An
 * upload whose address nobody has heard would stay until its time is over.
 */
function lingering(signal) {
  const late = new AbortController();
  const follow = () => setTimeout(() => late.abort(), signal.reason instanceof Problem ? 0 : LINGER);
  signal.addEventListener("abort", follow, {once: true});
  return late.signal;
}

/** How far an upload has come. */
export async function standing(id, signal) {
  let answer;
  try {
    answer = await call(`tus/${id}`, {method: "HEAD", headers: EACH, signal});
  } catch (problem) {
    // All was there, and is refused now. An answer to HEAD has no words.
    if (REFUSED.has(problem.status)) throw new Problem(problem.status, {detail: await reason(id, signal)});
    throw problem;
  }
  const offset = number(answer.headers.get("Upload-Offset"));
  if (offset === null) throw new Problem(502);
  return {offset, expires: answer.headers.get("Upload-Expires")};
}

/** Ends an upload, if it has not ended by itself. */
export async function giveUp(id) {
  try {
    await call(`tus/${id}`, {method: "DELETE", headers: EACH, signal: soon()});
  } catch (problem) {
    if (!isGone(problem)) throw problem;
  }
}

const reason = async (id, signal) => (await ask(`uploads/${id}`, {signal}).catch(() => ({}))).reason;

const isGone = problem => problem.status === 404 || problem.status === 410;

/** A file that was changed since it was chosen cannot be sent: to a browser that looks like a lost connection. */
async function expectReadable(file, offset) {
  try {
    await file.slice(offset, offset + 1).arrayBuffer();
  } catch {
    const detail = "the file was changed, moved or removed since it was chosen";
    throw new Problem(422, {code: "file_unreadable", detail});
  }
}

/** Upload-Metadata: names, each with its value as base64 of UTF-8. */
function metadata(file, fields) {
  const values = {filename: file.name, filetype: file.type, ...fields};
  return Object.entries(values).filter(([, value]) => value).map(([name, value]) => `${name} ${encoded(value)}`).join(",");
}

const encoded = text => btoa(String.fromCharCode(...new TextEncoder().encode(text)));

const number = text => /^\d{1,15}$/.test(text ?? "") ? Number(text) : null;
