// What becomes of uploads, as it happens. Two are followed by server-sent events, which are read by fetch: EventSource
// sends no token. The others are asked for together: before HTTP/2 a browser has six connections for a service.

import {SETTLED} from "./queue.js";
import {ask, call, wait} from "./service.js";

const STREAMS = 2;
const MANY = 8;  // where more are followed none is begun: requests are counted, and a list tells of a hundred
const SILENCE = 45_000;  // the service sends a comment more often than that
const DEAF = 10_000;  // and the first event at once, where nothing on the way holds it back
const PAGES = 5;

/** `show(item, told)` is told what is known of an upload, until it is settled; `locked()` of a 401. */
export class Watch {
  #items = new Map();
  #streamed = new Set();
  #isPolling = false;
  #canStream = true;

  constructor({show, locked}) {
    this.show = show;
    this.locked = locked;
    this.isLocked = false;  // until there is a token again nothing is asked
  }

  follow(item) {
    if (this.#items.has(item.id)) return;
    this.#items.set(item.id, item);
    this.#begin();
  }

  forget(item) {
    this.#items.delete(item.id);
  }

  #begin() {
    for (const item of this.#items.values()) {
      if (this.#streamed.size >= STREAMS || this.#items.size > MANY) break;
      if (!this.#streamed.has(item.id)) this.#stream(item);
    }
    if (this.#items.size > this.#streamed.size) this.#poll();
  }

  #told(item, told) {
    if (this.#items.get(item.id) !== item) return;
    if (SETTLED.has(told.status)) this.#items.delete(item.id);
    this.show(item, told);
  }

  /** One upload until it is settled. After each end of a stream it is asked once: that works where streams do not. */
  async #stream(item) {
    this.#streamed.add(item.id);
    let last = null;
    for (let tries = 1; this.#items.has(item.id); tries += 1) {
      let seconds = Math.min(5, 2 ** (tries - 1) / 2);
      while (this.isLocked) await wait(500);
      try {
        if (this.#canStream) {
          last = await this.#listen(item, last, () => { tries = 0; });
        }
        if (this.#items.has(item.id)) this.#told(item, await ask(`uploads/${item.id}`));
      } catch (problem) {
        if (problem.status === 404) this.#told(item, {...item.told, id: item.id, status: "deleted"});
        if (problem.status === 401) this.locked();
        seconds = Math.max(seconds, problem.retryAfter ?? 0);
      }
      if (this.#items.has(item.id)) await wait(seconds * 1000);
    }
    this.#streamed.delete(item.id);
    this.#begin();
  }

  /** Returns the id of the last event when the stream has ended, for whatever reason. */
  async #listen(item, last, heard) {
    const stop = new AbortController();
    let limit = setTimeout(() => { this.#canStream = false; stop.abort(); }, DEAF);
    try {
      const headers = {Accept: "text/event-stream", ...(last === null ? {} : {"Last-Event-ID": last})};
      const answer = await call(`uploads/${item.id}/events`, {headers, signal: stop.signal});
      if (answer.status === 204) return last;  // all of it was seen
      if (!answer.headers.get("Content-Type")?.startsWith("text/event-stream")) {
        this.#canStream = false;
        return last;
      }
      for await (const event of events(answer.body, () => {
        clearTimeout(limit);
        limit = setTimeout(() => stop.abort(), SILENCE);
      })) {
        if (event.id !== null) last = event.id;
        if (event.name === "status") this.#told(item, JSON.parse(event.data));
        heard();
        if (!this.#items.has(item.id)) stop.abort();
      }
    } catch {
      // That there is no stream, or no more of it, is no news: what the upload is now is asked for.
    } finally {
      clearTimeout(limit);
    }
    return last;
  }

  /** Those that have no stream: by the list, whose newest pages have them all, but for what is old. */
  async #poll() {
    if (this.#isPolling) return;
    this.#isPolling = true;
    let seconds = 1;
    while (this.#items.size > this.#streamed.size) {
      await wait(seconds * 1000);
      while (this.isLocked) await wait(500);
      try {
        const asked = [...this.#items.values()].filter(item => !this.#streamed.has(item.id));
        const found = await this.#listed(new Set(asked.map(item => item.id)));
        for (const item of asked) {
          const told = found.get(item.id);
          if (told) this.#told(item, {...item.told, ...told});
          else if (this.#items.has(item.id)) this.#told(item, await ask(`uploads/${item.id}`));
        }
        seconds = Math.min(5, seconds * 1.3);
        this.#begin();
      } catch (problem) {
        if (problem.status === 401) this.locked();
        seconds = Math.max(2, problem.retryAfter ?? 5);
      }
    }
    this.#isPolling = false;
  }

  async #listed(wanted) {
    const found = new Map();
    for (let page = 0, path = "uploads?limit=100"; path && page < PAGES && found.size < wanted.size; page += 1) {
      const told = await ask(path);
      for (const each of told.uploads) if (wanted.has(each.id)) found.set(each.id, each);
      path = told.next;
    }
    return found;
  }
}

/** The events of a stream, as the HTML standard reads them. `alive` is told of every piece, comments as well. */
async function* events(body, alive) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "", id = null, name = "message", data = [];
  for (;;) {
    const {value, done} = await reader.read();
    if (done) return;
    alive();
    rest += value;
    const whole = rest.endsWith("\r") ? rest.length - 1 : rest.length;  // the other half of its end may follow
    const lines = rest.slice(0, whole).split(/\r\n|\n|\r/);
    rest = lines.pop() + rest.slice(whole);
    for (const line of lines) {
      if (line === "") {
        if (data.length) yield {id, name, data: data.join("\n")};
        [name, data] = ["message", []];
        continue;
      }
      const [, field, said] = /^([^:]*)(?:: ?(.*))?$/s.exec(line);
      if (field === "id") id = said ?? "";
      else if (field === "event") name = said ?? "";
      else if (field === "data") data.push(said ?? "");
    }
  }
}
