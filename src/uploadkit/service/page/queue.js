// The files that are sent: three at a time, each in a request of its own, which is made again where it was cut off, or
// in pieces, where it is large: those go on from where they were, and can be paused.
//
// A file has one key for all attempts, so what was taken once is not taken twice. What passes by itself, such as a lost
// connection, holds the whole queue for a while: it is not the fault of one file.

import {Problem, call, send, soon, wait, whatCameOf} from "./service.js";
import {LARGE, Pieces} from "./tus.js";

const AT_ONCE = 3;
const TRIES = 8;  // two to three minutes, then somebody has to say so
const LONGEST_WAIT = 30;
const SILENT = 10_000;  // said after so long without progress
const DEAD = 60_000;  // and taken for a lost connection after so long
const DEAF = new Problem(0);

/**
 * One file of this visit, or an upload of an earlier one (`file` null), and all that the page knows of it. Of one that
 * has not ended there is what is `known` of it, until its file is chosen again.
 */
export class Item {
  constructor({file = null, folder = "", fields = {}, told = null, known = null}) {
    this.file = file;
    this.folder = folder;
    this.fields = fields;
    this.told = told;  // as the service shows it
    this.known = known;
    this.id = told?.id ?? null;
    this.name = file?.name ?? known?.name ?? told.filename ?? "unnamed";
    this.size = file?.size ?? known?.size ?? told.size ?? 0;
    this.pieces = file !== null && file.size > LARGE ? new Pieces(file, {folder, fields}) : null;
    this.phase = known ? "left" : file === null ? null : "waiting";
    this.problem = null;
    this.restart();
    this.running = null;  // a promise that is there for as long as it is worked on
    this.tries = 0;
    this.key = newKey();
    this.isUnsure = false;  // whether the service may have it, though no answer has come
    this.stopping = null;
  }

  /** Its file has been chosen again. */
  regain(file) {
    this.file = file;
    this.pieces = new Pieces(file, {folder: this.folder, known: this.known});
    this.known = null;
    this.problem = null;
    this.phase = "waiting";
    this.restart();
  }

  restart() {
    this.sent = (this.pieces ?? this.known)?.offset ?? 0;
    this.whole = this.pieces || this.known ? this.size : 0;
    this.samples = [];
    this.silentSince = null;
  }

  /** Bytes a second, over the last few; null at first. */
  get speed() {
    const [first, last] = [this.samples[0], this.samples.at(-1)];
    if (!last || last.at - first.at < 400) return null;
    return (last.sent - first.sent) / Math.max(last.at - first.at, performance.now() - first.at) * 1000;
  }

  get secondsLeft() {
    return this.speed ? (this.whole - this.sent) / this.speed : null;
  }

  /** busy, trouble or good. */
  get mood() {
    if (["waiting", "sending", "storing", "stopping", "paused", "left"].includes(this.phase)) return "busy";
    if (this.phase !== null) return this.phase === "cancelled" ? "good" : "trouble";
    if (!this.told || !SETTLED.has(this.told.status)) return "busy";
    return this.told.status === "completed" || this.told.status === "deleted" ? "good" : "trouble";
  }
}

export const SETTLED = new Set(["completed", "rejected", "failed", "quarantined", "expired", "deleted"]);

// Pages that came by plain HTTP from another machine have no randomUUID.
function newKey() {
  return crypto.randomUUID?.() ?? Array.from(crypto.getRandomValues(new Uint8Array(16)), byte =>
    byte.toString(16).padStart(2, "0")).join("");
}

/** `changed(item)` is told of every change, `taken(item)` of what the service has taken, `locked()` of a 401. */
export class Queue {
  constructor({changed, taken, locked}) {
    this.changed = changed;
    this.taken = taken;
    this.locked = locked;
    this.waiting = [];
    this.active = new Set();
    this.isLocked = false;
    this.hold = null;  // {until, why}: nothing is begun before
    this.failures = 0;
  }

  add(items) {
    this.waiting.push(...items);
    this.#begin();
  }

  /** Goes on at once: somebody has said so, or the browser says that there is a network again. */
  wake() {
    this.#release();
    this.#begin();
  }

  unlock() {
    this.isLocked = false;
    this.wake();
  }

  retry(item) {
    if (item.phase === "cancelled") item.key = newKey();
    item.tries = 0;
    item.problem = null;
    item.restart();
    if (!this.waiting.includes(item)) this.waiting.unshift(item);
    this.#enter(item, "waiting");
    this.wake();
  }

  /** What has arrived of it stays. */
  pause(item) {
    this.waiting = this.waiting.filter(each => each !== item);
    item.problem = null;
    this.#enter(item, "paused");
    item.stopping?.abort();
  }

  async resume(item) {
    this.#enter(item, "waiting");
    await item.running;  // to be stopped takes it a moment
    if (item.phase === "waiting") this.retry(item);
  }

  /** When it is over nothing of the file is left at the service, whatever had become of it. */
  async cancel(item) {
    this.waiting = this.waiting.filter(each => each !== item);
    const mayBeThere = this.active.has(item) || item.isUnsure || Boolean(item.pieces?.id);
    item.problem = null;
    this.#enter(item, mayBeThere ? "stopping" : "cancelled");
    item.stopping?.abort();
    if (!mayBeThere) return;
    await this.#leaveNothing(item);
    item.isUnsure = false;
    if (item.phase === "stopping") this.#enter(item, "cancelled");
  }

  async #leaveNothing(item) {
    if (item.pieces) await item.running;
    for (let tries = 1; tries <= TRIES; tries += 1) {
      try {
        await item.pieces?.giveUp();
        const id = item.pieces ? item.id : (await whatCameOf(item.key, soon()))?.id ?? null;
        if (id !== null) await call(`uploads/${id}`, {method: "DELETE", signal: soon()});
        item.id = null;
        return;
      } catch (problem) {
        if (!problem.isPassing) return;
        await wait(1000 * (problem.retryAfter ?? pause(tries)));
      }
    }
  }

  #begin() {
    if (this.isLocked || this.hold) return;
    while (this.active.size < AT_ONCE && this.waiting.length) {
      const item = this.waiting.shift();
      item.running = this.#run(item);
    }
  }

  async #run(item) {
    this.active.add(item);
    const stopping = item.stopping = new AbortController();
    item.restart();
    item.problem = null;
    this.#enter(item, "sending");
    try {
      const upload = (item.isUnsure ? await whatCameOf(item.key, item.stopping.signal) : null) ?? await this.#send(item);
      item.id = upload.id;
      if (item.phase === "stopping") return;  // what came of it is asked for, and removed
      this.failures = 0;
      item.isUnsure = false;
      this.#enter(item, null);
      this.taken(item, upload);
    } catch (problem) {
      if (!stopping.signal.aborted || stopping.signal.reason === DEAF) this.#failed(item, problem);
    } finally {
      this.active.delete(item);
      item.running = null;
      this.#begin();
    }
  }

  async #send(item) {
    const {signal} = item.stopping;
    let last = performance.now();
    const watch = setInterval(() => {
      const silent = performance.now() - last;
      if (item.phase !== "sending" || silent < SILENT) return;
      item.silentSince = last;
      this.changed(item);
      if (silent > DEAD) item.stopping.abort(DEAF);
    }, 1000);
    const progress = (sent, whole) => {
      const now = last = performance.now();
      Object.assign(item, {sent, whole, silentSince: null});
      item.samples.push({at: now, sent});
      while (item.samples.length > 2 && now - item.samples[0].at > 4000) item.samples.shift();
      // From here on the service may have taken it, whether we hear of it or not.
      if (sent === whole && !item.pieces) item.isUnsure = true;
      const isStoring = sent === whole;
      if (["sending", "storing"].includes(item.phase)) item.phase = isStoring ? "storing" : "sending";
      this.changed(item);
    };
    const kept = () => { item.tries = this.failures = 0; };
    try {
      if (item.pieces) return await item.pieces.send({progress, kept, signal});
      return await send(item.file, {key: item.key, fields: item.fields, progress, signal});
    } finally {
      clearInterval(watch);
    }
  }

  #failed(item, error) {
    const problem = error instanceof Problem ? error : new Problem(0);
    if (problem.status === 401) {
      this.waiting.unshift(item);
      this.#enter(item, "waiting");
      this.isLocked = true;
      this.locked();
      return;
    }
    // A refusal is an answer: there is nothing of the file at the service.
    if (problem.status >= 400 && problem.status < 500 && !problem.isPassing) item.isUnsure = false;
    item.problem = problem;
    item.tries += 1;
    if (problem.isPassing && item.tries < TRIES) {
      this.waiting.unshift(item);
      this.#enter(item, "waiting");
      this.#wait(problem);
    } else {
      this.#enter(item, problem.isPassing || problem.status >= 500 ? "broken" : "refused");
    }
  }

  #wait(problem) {
    this.failures += 1;
    const seconds = Math.max(pause(this.failures), problem.retryAfter ?? 0);
    const until = performance.now() + seconds * 1000;
    if (this.hold && this.hold.until >= until) return;
    this.#release();
    this.hold = {until, why: problem, timer: setTimeout(() => this.wake(), seconds * 1000)};
    this.changed(null);
  }

  #release() {
    if (!this.hold) return;
    clearTimeout(this.hold.timer);
    this.hold = null;
    this.changed(null);
  }

  #enter(item, phase) {
    item.phase = phase;
    this.changed(item);
  }
}

/** Seconds before the next attempt: 1, 2, 4 and on, and not the same for all who lost one connection. */
function pause(tries) {
  return Math.min(LONGEST_WAIT, 2 ** (tries - 1)) * (0.75 + Math.random() / 2);
}
