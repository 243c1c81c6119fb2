// One upload as it is shown. Whatever it is called, names are text here and never HTML.

import {address} from "./service.js";
import {advice, moment, plain, reason, size, time} from "./words.js";

const SHOWN = new Set(["image/jpeg", "image/png", "image/gif", "image/webp", "image/avif"]);
const MOST_SHOWN = 30_000_000;  // a larger picture is not decoded for a preview
const FRESH = 5 * 60_000;  // signed links last for a while alone

/** What a card says and offers, by what is known of its item. */
export function look(item) {
  const {phase, problem, told} = item;
  const whole = size(item.size);
  const why = problem ? reason(problem.status === 0 && item.sent ? `${problem.message} after ${size(item.sent)}` : problem.message) : "";
  switch (phase) {
    case "waiting": {
      const offers = item.pieces ? ["pause", "cancel"] : ["cancel"];
      const part = item.pieces && item.sent ? item.sent / item.size : undefined;
      const state = `${problem?.status === 0 ? "Waiting for the network" : "Waiting"} · ${item.pieces ? come(item) : whole}`;
      const goes = item.pieces ? "goes on from there" : "is tried again";
      return problem ? {state, tone: "wait", part, why: `${why} It ${goes} by itself.`, offers}
        : {state, tone: "idle", part, offers};
    }
    case "paused":
      return {state: `Paused · ${come(item)}`, tone: "idle", part: item.sent / item.size, offers: ["resume", "cancel"]};
    case "left":
      return {state: item.sent ? `${come(item)} are there` : `${whole} · nothing of it is there yet`, tone: "wait", part: item.sent / item.size,
              why: why || `Choose or drop the same file again, and it goes on from there.${until(item.known)}`,
              offers: ["again", "discard"]};
    case "sending": {
      const offers = item.pieces ? ["pause", "cancel"] : ["cancel"];
      const parts = [`${size(item.sent)} of ${size(item.whole || item.size)}`];
      if (item.silentSince !== null) {
        const silent = time((performance.now() - item.silentSince) / 1000);
        return {state: parts[0], tone: "wait", part: item.whole ? item.sent / item.whole : 0,
                why: `Waiting for the network: nothing has gone out for ${silent}.`, offers};
      }
      if (item.speed) parts.push(`${size(item.speed)}/s`, `${time(item.secondsLeft)} left`);
      return {state: parts.join(" · "), tone: "busy", part: item.whole ? item.sent / item.whole : 0, offers};
    }
    case "storing":
      return {state: `${whole} · sent, waiting for the answer`, tone: "busy", part: 1, offers: ["cancel"]};
    case "stopping":
      return {state: "Cancelling", tone: "busy", offers: []};
    case "cancelled":
      return {state: "Cancelled, nothing of it is kept", tone: "idle", offers: ["retry", "remove"]};
    case "doubted":
      return {state: "Not sent", tone: "bad", why: `${why} You may send it all the same.`, offers: ["anyway", "remove"]};
    case "broken":
      return {state: "Not sent", tone: "bad", why: join(why, advice(problem)), offers: ["retry", "remove"]};
    case "refused":
      return {state: "Refused", tone: "bad", why: join(why, advice(problem)),
              offers: problem.code === "quota_exceeded" ? ["retry", "remove"] : ["remove"]};
  }
  switch (told?.status) {
    case "completed":
      return {state: [whole, ...facts(told)].join(" · "), tone: "good", offers: ["details", "delete"]};
    case "processing":
      return {state: ["Processing", ...told.percent ? [`${told.percent} %`] : [], ...told.note ? [told.note] : []].join(" · "),
              tone: "busy", part: (told.percent ?? 0) / 100, offers: ["delete"]};
    case "rejected":
      return {state: "Refused", tone: "bad", why: reason(told.reason ?? "it did not pass a closer look"),
              offers: ["delete"]};
    case "failed":
      return {state: "Not processed", tone: "bad",
              why: "Something went wrong with it. Whoever runs the service can see what, and start it again.",
              offers: ["details", "delete"]};
    case "quarantined":
      return {state: "Locked away", tone: "bad", why: "A scan found something harmful in it. Nobody can fetch it.",
              offers: ["delete"]};
    case "expired":
      return {state: "Removed, as its time was over", tone: "idle", offers: []};
    case "deleted":
      return {state: "Deleted", tone: "idle", offers: []};
    default:
      return {state: `${whole} · in the queue of the service`, tone: "busy", part: null, offers: ["delete"]};
  }
}

function join(...texts) {
  return texts.filter(Boolean).join(" ");
}

/** How much of a file in pieces is there. */
const come = item => item.sent ? `${size(item.sent)} of ${size(item.size)}` : size(item.size);

const until = known => known.expires ? ` It is kept until ${moment(known.expires)}.` : "";

/** What is told of a file beside its size. */
function facts(told) {
  const {width, height, pages, duration} = told.metadata ?? {};
  return [
    ...told.content_type ? [short(told.content_type)] : [],
    ...width && height ? [`${width} × ${height}`] : [],
    ...pages ? [`${pages} ${pages === 1 ? "page" : "pages"}`] : [],
    ...duration ? [time(duration)] : [],
  ];
}

function short(type) {
  const [kind, name] = type.split("/");
  return ["image", "audio", "video"].includes(kind) ? `${name.replace(/^x-/, "").toUpperCase()}` : LONG[name] ?? type;
}

const LONG = {
  pdf: "PDF", zip: "ZIP", gzip: "GZIP", "x-tar": "TAR", plain: "Text", csv: "CSV", markdown: "Markdown",
  "vnd.openxmlformats-officedocument.wordprocessingml.document": "Word",
  "vnd.openxmlformats-officedocument.spreadsheetml.sheet": "Excel",
  "vnd.openxmlformats-officedocument.presentationml.presentation": "PowerPoint",
};

const OFFERS = {pause: "Pause", resume: "Resume", again: "Choose again", discard: "Discard", cancel: "Cancel", retry: "Retry", anyway: "Send anyway", remove: "Remove", details: "Details", delete: "Delete"};
let made = 0;  // an id for each card

export class Card {
  /** `act(name, item)` is told what somebody wants of it; `refresh(item)` asks for it anew. */
  constructor(item, {act, refresh}) {
    this.item = item;
    this.refresh = refresh;
    this.element = make("li", {className: "card"});
    this.thumb = make("div", {className: "thumb", ariaHidden: "true"});
    this.name = make("bdi", {className: "name", textContent: plain(item.name), title: plain(item.name)});
    this.folder = make("p", {className: "folder", textContent: plain(item.folder), hidden: !item.folder});
    this.state = make("p", {className: "state"});
    this.why = make("p", {className: "why", hidden: true});
    this.progress = make("progress", {max: 1, hidden: true});
    this.progress.setAttribute("aria-label", plain(item.name));
    this.buttons = make("div", {className: "actions"});
    this.offered = new Map(Object.entries(OFFERS).map(([name, label]) => {
      const button = make("button", {type: "button", textContent: label, hidden: true, className: name});
      button.setAttribute("aria-label", `${label}${name === "details" ? " of" : ""} ${plain(item.name)}`);
      button.addEventListener("click", () => name === "details" ? this.#unfold() : act(name, item));
      return [name, button];
    }));
    this.buttons.append(...this.offered.values());
    this.about = make("div", {className: "about", id: `about-${made += 1}`, hidden: true});
    this.offered.get("details").setAttribute("aria-controls", this.about.id);
    this.offered.get("details").setAttribute("aria-expanded", "false");
    const what = make("div", {className: "what"});
    const title = make("h3", {});
    title.append(this.name);
    what.append(title, this.folder, this.state, this.progress, this.why);
    this.element.append(this.thumb, what, this.buttons, this.about);
    this.toldAt = 0;
    this.#tile();
    if (item.file && SHOWN.has(item.file.type) && item.file.size <= MOST_SHOWN) this.#preview(item.file);
    this.update();
  }

  update() {
    const {state, tone, part, why = "", offers} = look(this.item);
    this.element.dataset.tone = tone;
    this.element.dataset.mood = this.item.mood;
    this.element.dataset.status = this.item.phase ?? this.item.told?.status ?? "taken";
    say(this.state, state);
    say(this.why, why);
    this.why.hidden = !why;
    this.progress.hidden = part === undefined;
    if (part === null) this.progress.removeAttribute("value");
    else if (part !== undefined) this.progress.value = part;
    this.#offer(offers);
    if (this.shown !== this.item.told) {
      this.shown = this.item.told;
      if (this.shown?.variants) this.toldAt = performance.now();
      this.#picture();
      if (!this.about.hidden) this.#fill();
    }
  }

  /** Whether it shows less than the service would tell. */
  get isThin() {
    const {phase, told} = this.item;
    return phase === null && told?.status === "completed" && told.variants === undefined;
  }

  /** The way out of the page's memory. */
  close() {
    this.#release();
    this.element.remove();
  }

  #offer(offers) {
    const focused = [...this.offered.values()].find(button => button === document.activeElement);
    for (const [name, button] of this.offered) button.hidden = !offers.includes(name);
    if (!offers.includes("details")) this.#fold();
    // A button that goes while it has the focus hands it on, so that the keyboard does not fall off the page.
    if (focused?.hidden) {
      this.element.tabIndex = -1;
      ([...this.offered.values()].find(button => !button.hidden) ?? this.element).focus({preventScroll: true});
    }
  }

  #tile() {
    const [, ending = ""] = /\.([A-Za-z0-9]{1,4})$/.exec(this.item.name) ?? [];
    const type = this.item.told?.content_type ?? (this.item.file ?? this.item.known)?.type ?? "";
    this.thumb.dataset.kind = /^(image|video|audio)\//.exec(type)?.[1] ?? "other";
    this.thumb.replaceChildren(make("span", {textContent: ending.toUpperCase() || "FILE"}));
  }

  /** The file itself, until the service has made a thumbnail of it. */
  #preview(file) {
    this.local = URL.createObjectURL(file);
    this.#see(this.local);
  }

  #picture() {
    const url = this.item.told?.variants?.thumbnail?.url;
    if (url && url !== this.url) {
      this.url = url;
      this.#see(address(url));
    }
  }

  /** Over what was there: a picture that comes takes its place, and one that does not leaves it. */
  #see(source) {
    const image = make("img", {alt: "", decoding: "async", loading: "lazy", width: 56, height: 56});
    image.addEventListener("error", () => image.remove());
    image.addEventListener("load", () => {
      if (!image.isConnected) return;
      this.thumb.replaceChildren(image);
      if (source !== this.local) this.#release();
    });
    image.src = source;
    this.thumb.append(image);
  }

  #release() {
    if (this.local) URL.revokeObjectURL(this.local);
    this.local = null;
  }

  async #unfold() {
    if (!this.about.hidden) return this.#fold();
    if (performance.now() - this.toldAt > FRESH || !this.toldAt) await this.refresh(this.item);
    this.about.hidden = false;
    this.offered.get("details").setAttribute("aria-expanded", "true");
    this.#fill();
  }

  #fold() {
    this.about.hidden = true;
    this.offered.get("details").setAttribute("aria-expanded", "false");
  }

  #fill() {
    const {told} = this.item;
    const list = make("dl", {});
    for (const [term, value, kind] of described(told)) {
      list.append(make("dt", {textContent: term}), make("dd", {textContent: value, className: kind ?? ""}));
    }
    this.about.replaceChildren(list, ...this.#files(told));
  }

  #files(told) {
    const files = [
      ...told.url ? [["As it was sent", told.url, [short(told.content_type), size(told.size)]]] : [],
      ...Object.entries(told.variants ?? {}).map(([name, made]) =>
        [called(name), made.url, [`${made.width} × ${made.height}`, size(made.size)]]),
    ];
    if (!files.length) return [];
    const list = make("ul", {className: "files"});
    for (const [label, url, more] of files) {
      const link = make("a", {href: address(url), target: "_blank", rel: "noopener", textContent: label});
      link.setAttribute("aria-label", `${label}, ${plain(this.item.name)}`);
      link.addEventListener("click", event => this.#renew(event, url));
      const line = make("li", {});
      line.append(link, make("span", {textContent: ` ${more.join(" · ")}`}));
      list.append(line);
    }
    return [make("h4", {textContent: "Files"}), list];
  }

  /** A link that has been here for long is asked for anew before it is followed. */
  async #renew(event, url) {
    if (performance.now() - this.toldAt < FRESH) return;
    event.preventDefault();
    const opened = window.open("", "_blank");  // while the click still counts as one
    await this.refresh(this.item);
    const {told} = this.item;
    const path = new URL(address(url)).pathname;
    const fresh = [told.url, ...Object.values(told.variants ?? {}).map(made => made.url)]
      .find(each => each && new URL(address(each)).pathname === path);
    if (opened && fresh) {
      opened.opener = null;
      opened.location = address(fresh);
    } else {
      opened?.close();
    }
  }
}

function called(name) {
  return name === "original" ? "Original size, written anew" : name[0].toUpperCase() + name.slice(1);
}

function* described(told) {
  const {width, height, duration, pages, title, taken_at: taken, frames, flags} = told.metadata ?? {};
  yield ["Type", told.content_type];
  yield ["Size", `${size(told.size)} (${told.size.toLocaleString("en")} bytes)`];
  if (width && height) yield ["Dimensions", `${width} × ${height} pixels`];
  if (frames > 1) yield ["Frames", frames];
  if (duration) yield ["Length", time(duration)];
  if (pages) yield ["Pages", pages];
  if (title) yield ["Title", title];
  if (taken) yield ["Taken", moment(taken)];
  if (flags?.length) yield ["Has", flags.join(", ")];
  const tags = Object.entries(told.tags ?? {});
  if (tags.length) yield ["Tags", tags.map(([name, value]) => value ? `${name}=${value}` : name).join(", ")];
  yield ["Uploaded", moment(told.created_at)];
  if (told.expires_at) yield ["Kept until", moment(told.expires_at)];
  if (told.sha256) yield ["SHA-256", told.sha256, "code"];
  yield ["Id", told.id, "code"];
}

function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function make(name, properties) {
  return Object.assign(document.createElement(name), properties);
}

