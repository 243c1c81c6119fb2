// The page: files come in by a picker, a drop or the clipboard, go through the queue, and are watched until they are
// settled. Each has a card; what happens is said once, in few words, for who cannot see it.

import {Card} from "./card.js";
import {Item, Queue, SETTLED} from "./queue.js";
import {Problem, access, ask, call, wait} from "./service.js";
import {LARGE, giveUp, standing} from "./tus.js";
import {forget, isSame, remembered} from "./unfinished.js";
import {Watch} from "./watch.js";
import {allowed, count, plain, reason, sentence, size, time} from "./words.js";

const rules = JSON.parse(document.getElementById("rules").textContent);
const at = id => document.getElementById(id);
const cards = new Map();  // by item
const sent = new Set();  // items of this visit
const dirty = new Set();
const FEW = 8;  // so many files need no filter
const PAGE = 20;

const queue = new Queue({
  changed: item => redraw(item),
  taken(item, upload) {
    item.told = {id: upload.id, filename: upload.filename, status: upload.status};
    watch.follow(item);
    redraw(item);
  },
  locked: () => lock("That token is not valid, or no longer."),
});

const watch = new Watch({
  show(item, told) {
    item.told = told;
    redraw(item);
  },
  locked: () => lock("That token is not valid, or no longer."),
});

// What comes in

const ruleOfAll = rules.any_file ?? {accept: null, max_size: null};
// What a request has besides the file is less than this.
const room = (rules.limits?.body_size ?? Infinity) - 4096;
const largest = Math.min(ruleOfAll.max_size ?? Infinity, room);

async function add(files) {
  const fields = {tags: at("tags").value.trim(), priority: at("priority").value};
  if (files.some(({file}) => file.size > LARGE)) await recalled;
  const items = files.map(({file, folder}) => regained(file) ?? new Item({file, folder, fields}));
  for (const item of items) {
    sent.add(item);
    judge(item);
    if (cards.has(item)) move(item);
    else show(item, at("queue"));
  }
  queue.add(items.filter(item => item.phase === "waiting"));
  if (items.length) speak(`${count(items.length, "file")} added.`);
  redraw(null);
}

const SMALL = 1_000_000;

/**
 * What the service would refuse is not sent to it: it answers at the first bytes, but browsers read an answer when they
 * have sent all. The type is judged there by the bytes themselves, so here it is no more than a doubt. Of a file in
 * pieces the first is small.
 */
function judge(item) {
  const [ending = ""] = /\.[^.]+$/.exec(item.name.toLowerCase()) ?? [];
  if (item.size > largest) {
    const detail = `the file has ${size(item.size)}, of ${size(largest)} at most`;
    item.problem = new Problem(413, {code: "limit_exceeded", detail});
    item.phase = "refused";
  } else if (item.size > SMALL && !item.pieces && ending && ruleOfAll.accept && ![item.file.type, ending].some(isTaken)) {
    item.problem = new Problem(415, {code: "file_refused", detail: `files of the type ${ending} are not taken here`});
    item.phase = "doubted";
  }
}

const isTaken = type => ruleOfAll.accept.includes(type);

const isHidden = name => name.startsWith(".") || name === "Thumbs.db" || name === "desktop.ini";

function chosen(input) {
  const files = [...input.files].map(file => ({file, folder: folderOf(file.webkitRelativePath)}));
  add(input === at("folder") ? files.filter(({file}) => !isHidden(file.name)) : files);
  input.value = "";  // the same file may be chosen again
}

const folderOf = path => path.split("/").slice(0, -1).join("/");

/** Files of a drop, also those in folders. What is dropped is gone after the event: entries are taken at once. */
async function dropped(transfer) {
  const entries = [...transfer.items].map(item => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some(entry => entry.isDirectory)) return [...transfer.files].map(file => ({file, folder: ""}));
  const found = [];
  for (const entry of entries) await walk(entry, "", found);
  return found;
}

async function walk(entry, folder, found) {
  if (entry.isFile) {
    if (!isHidden(entry.name)) found.push({file: await new Promise((good, bad) => entry.file(good, bad)), folder});
    return;
  }
  const reader = entry.createReader();
  const inside = folder ? `${folder}/${entry.name}` : entry.name;
  for (;;) {  // it gives a hundred at a time
    const some = await new Promise((good, bad) => reader.readEntries(good, bad));
    if (!some.length) return;
    for (const each of some) await walk(each, inside, found);
  }
}

const hasFiles = event => [...event.dataTransfer?.types ?? []].includes("Files");
const isOpen = () => !at("zone").hidden;

// The whole page takes a drop: next to the zone the browser would open the file in place of the page.
addEventListener("dragover", event => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  event.dataTransfer.dropEffect = isOpen() ? "copy" : "none";
  at("zone").classList.toggle("over", isOpen());
});
addEventListener("dragleave", event => {
  if (event.relatedTarget === null) at("zone").classList.remove("over");
});
addEventListener("drop", async event => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  at("zone").classList.remove("over");
  if (!isOpen()) return;
  try {
    add(await dropped(event.dataTransfer));
  } catch {
    speak("The folder could not be read.");
  }
});
addEventListener("paste", event => {
  const files = [...event.clipboardData?.files ?? []];
  if (!files.length || !isOpen()) return;
  event.preventDefault();
  add(files.map(file => ({file, folder: ""})));
});
at("choose").addEventListener("click", () => at("files").click());
at("choose-folder").addEventListener("click", () => at("folder").click());
at("files").addEventListener("change", event => chosen(event.target));
at("folder").addEventListener("change", event => chosen(event.target));
at("zone").addEventListener("click", event => {
  if (!event.target.closest("button, input")) at("files").click();
});

// Cards

function show(item, list) {
  const card = new Card(item, {act, refresh});
  cards.set(item, card);
  list.append(card.element);
  near.observe(card.element);
  card.element.item = item;
  return card;
}

async function refresh(item) {
  try {
    item.told = await ask(`uploads/${item.id}`);
    redraw(item);
  } catch (problem) {
    if (problem.status === 401) lock();
    if (problem.status === 404) item.told = {...item.told, status: "deleted", variants: {}};
    redraw(item);
  }
}

// A list tells little of each upload: the rest is asked for when it comes into view, a few at a time.
const thin = [];
let asking = 0;
const near = new IntersectionObserver(entries => {
  for (const {target, isIntersecting} of entries) {
    target.isNear = isIntersecting;
    if (isIntersecting) complete(target.item);
  }
}, {rootMargin: "200px"});

function complete(item) {
  if (cards.get(item)?.isThin && !thin.includes(item)) thin.push(item);
  while (asking < 2 && thin.length) {
    asking += 1;
    refresh(thin.shift()).finally(() => {
      asking -= 1;
      complete(null);
    });
  }
}

async function act(name, item) {
  if (name === "cancel") await queue.cancel(item);
  else if (name === "pause") queue.pause(item);
  else if (name === "resume") queue.resume(item);
  else if (name === "again") again(item);
  else if (name === "discard") await discard(item);
  else if (name === "retry" || name === "anyway") queue.retry(item);
  else if (name === "remove") remove(item);
  else if (name === "delete" && await isSure(item)) await erase(item);
}

function remove(item) {
  const card = cards.get(item);
  const neighbour = card.element.nextElementSibling ?? card.element.previousElementSibling;
  const hadFocus = card.element.contains(document.activeElement) || document.activeElement === document.body;
  drop(item);
  item.pieces?.giveUp().catch(() => {});  // of what was not sent there is nothing to come back to
  redraw(null);
  if (!hadFocus) return;
  const next = neighbour?.querySelector("button:not([hidden])") ?? at("choose");
  next.focus({preventScroll: true});
}

function drop(item) {
  const card = cards.get(item);
  near.unobserve(card.element);
  card.close();
  for (const each of [cards, sent, left]) each.delete(item);
}

async function erase(item) {
  try {
    await call(`uploads/${item.id}`, {method: "DELETE"});
  } catch (problem) {
    if (problem.status === 401) return lock();
    if (problem.status !== 404) return speak(`${plain(item.name)} was not deleted: ${problem.message}.`);
  }
  watch.forget(item);
  remove(item);
  speak(`${plain(item.name)} is deleted.`);
}

/** A dialog of its own for each question: an answer to the one before cannot be taken for one to this. */
function isSure(item) {
  const dialog = at("question").content.firstElementChild.cloneNode(true);
  const opener = document.activeElement;
  const variants = Object.keys(item.told?.variants ?? {}).length;
  const made = variants ? `, and ${count(variants, "picture")} made of it,` : "";
  dialog.querySelector("#sure-what").textContent = `${plain(item.name)}${made} will be gone for good.`;
  let answer = false;
  dialog.addEventListener("click", event => {
    const value = event.target.closest("button")?.value;
    if (value === undefined && event.target !== dialog) return;
    answer = value === "yes";
    dialog.close();
  });
  document.body.append(dialog);
  dialog.showModal();
  return new Promise(resolve => dialog.addEventListener("close", () => {
    dialog.remove();
    opener.focus();
    resolve(answer);
  }));
}

// What was begun before and has not ended

const left = new Set();
let recalled = Promise.resolve();

/** Shows those that this browser remembers, and that the service says are of who asks. */
async function recall() {
  for (const item of [...left]) drop(item);
  const there = new Set([...sent].map(item => item.pieces?.id));
  const found = (await remembered()).filter(({id}) => !there.has(id));
  await Promise.all(found.map(async known => {
    try {
      const told = await ask(`uploads/${known.id}`);
      if (told.status !== "receiving") return forget(known.id);
    } catch {
      return;  // another's, or it will be seen at another visit
    }
    const item = new Item({known});
    left.add(item);
    show(item, at("unfinished"));
    measure(item);
  }));
  redraw(null);
}

/** How much of it is there: more than was heard of, it may be, or all. */
async function measure(item) {
  const {known} = item;
  try {
    const {offset, expires} = await standing(known.id);
    Object.assign(known, {offset, expires});
    if (!left.has(item)) return;
    item.restart();
    if (offset === item.size) return ended(item);
  } catch (problem) {
    if (left.has(item) && problem.status >= 400 && problem.status < 500 && !problem.isPassing && problem.status !== 401) {
      forget(known.id);
      left.delete(item);
      Object.assign(item, {phase: "refused", problem});
    }
  }
  redraw(item);
}

/** All of it had arrived: it is an upload as any other. */
function ended(item) {
  forget(item.known.id);
  left.delete(item);
  item.id = item.known.id;
  Object.assign(item, {phase: null, known: null, told: {id: item.id, filename: item.name, status: "staged"}});
  at("earlier").prepend(cards.get(item).element);
  watch.follow(item);
  redraw(item);
}

/** The unfinished upload of this file, which goes on; undefined where there is none. */
function regained(file) {
  const item = [...left].find(each => isSame(file, each.known));
  item?.regain(file);
  left.delete(item);
  return item;
}

function move(item) {
  const {element} = cards.get(item);
  const hadFocus = element.contains(document.activeElement);
  at("queue").append(element);
  redraw(item);
  if (hadFocus) element.querySelector("button:not([hidden])")?.focus({preventScroll: true});
}

let wanted = null;

function again(item) {
  wanted = item;
  at("again").click();
}
at("again").addEventListener("change", event => {
  const [file] = event.target.files;
  event.target.value = "";
  if (!file || !left.has(wanted)) return;
  if (isSame(file, wanted.known)) return add([{file, folder: wanted.folder}]);
  const detail = `${plain(file.name)} is not the file that was begun, as it was then: that had ${size(wanted.size)}`;
  wanted.problem = new Problem(422, {detail});
  speak(sentence(detail));
  redraw(wanted);
});

async function discard(item) {
  try {
    await giveUp(item.known.id);
  } catch (problem) {
    if (problem.status === 401) return lock();
    return speak(`${plain(item.name)} was not discarded: ${problem.message}.`);
  }
  forget(item.known.id);
  remove(item);
  speak(`${plain(item.name)} is discarded.`);
}

// All together

at("cancel-all").addEventListener("click", () => [...sent].filter(canCancel).forEach(item => queue.cancel(item)));
at("retry-all").addEventListener("click", () => [...sent].filter(canRetry).forEach(item => queue.retry(item)));
at("clear").addEventListener("click", () => {
  for (const item of [...sent]) if (item.mood !== "busy") remove(item);
  list();
  at("choose").focus();
});
at("hold").querySelector("button").addEventListener("click", () => {
  queue.wake();
  at("now-title").tabIndex = -1;
  at("now-title").focus({preventScroll: true});
});
at("filter").addEventListener("change", event => { at("queue").dataset.show = event.target.value; });
addEventListener("online", () => {
  for (const item of sent) if (item.phase === "broken" && item.problem.isPassing) queue.retry(item);
  queue.wake();
});
addEventListener("beforeunload", event => {
  if ([...sent].some(isUnderWay)) event.preventDefault();
});

const canRetry = item => item.phase === "broken";
const isUnderWay = item => ["waiting", "sending", "storing"].includes(item.phase);
const canCancel = item => isUnderWay(item) || item.phase === "paused";

let isDrawing = false;

/** Cards are drawn at most once a frame, however many files go out. */
function redraw(item) {
  if (item) dirty.add(item);
  if (isDrawing) return;
  isDrawing = true;
  const frame = document.hidden ? callback => setTimeout(callback, 250) : requestAnimationFrame;
  frame(() => {
    isDrawing = false;
    for (const each of dirty) {
      const card = cards.get(each);
      if (!card) continue;
      card.update();
      tell(each);
      if (card.element.isNear) complete(each);
    }
    dirty.clear();
    summary();
  });
}

function summary() {
  const items = [...sent];
  at("now").hidden = items.length === 0;
  const moods = {busy: 0, trouble: 0, good: 0};
  let whole = 0, gone = 0, speed = 0, left = 0;
  for (const item of items) {
    moods[item.mood] += 1;
    if (["refused", "doubted", "cancelled"].includes(item.phase)) continue;
    const goes = item.phase === "sending" || item.phase === "storing" || item.pieces;
    const part = item.phase === null ? 1 : goes && item.whole ? item.sent / item.whole : 0;
    whole += item.size;
    gone += item.size * part;
    if (item.phase === "sending") speed += item.speed ?? 0;
    if (["waiting", "sending"].includes(item.phase)) left += item.size * (1 - part);
  }
  const parts = [`${moods.good} of ${items.length} done`];
  if (moods.trouble) parts.push(count(moods.trouble, "problem"));
  if (speed && left) parts.push(`${size(speed)}/s`, `${time(left / speed)} left`);
  at("sum").textContent = parts.join(" · ");
  at("all").value = whole ? gone / whole : 1;
  at("all").hidden = moods.busy === 0;
  at("cancel-all").hidden = !items.some(canCancel);
  at("retry-all").hidden = items.filter(canRetry).length < 2;
  at("clear").hidden = moods.busy > 0 || items.length === 0;
  at("filter").hidden = items.length < FEW;
  at("left").hidden = isLocked || at("unfinished").childElementCount === 0;
  for (const input of at("filter").querySelectorAll("input")) {
    const number = input.value === "all" ? items.length : moods[input.value];
    input.nextElementSibling.dataset.count = number;
  }
  document.title = moods.busy ? `${Math.floor(at("all").value * 100)} % · Uploads` : "Uploads";
  holding();
  blank();
}

/** Why nothing is begun, and when it goes on. */
function holding() {
  const {hold} = queue;
  at("hold").hidden = !hold;
  if (!hold) return;
  const seconds = time((hold.until - performance.now()) / 1000);
  const text = `${sentence(hold.why.message)} It goes on by itself in ${seconds}.`;
  if (at("hold").firstElementChild.textContent !== text) at("hold").firstElementChild.textContent = text;
  clearTimeout(counting);
  counting = setTimeout(() => redraw(null), 500);
}

let counting = null;

// What is said to who cannot see it: not every number, and what comes together in one sentence.

const known = new Map();  // how each item was when it was last told of
const news = new Map();
let speaking = null;

function tell(item) {
  const status = item.phase ?? item.told?.status ?? "taken";
  const before = known.get(item);
  const now = item.phase === "waiting" && item.problem ? "cut" : status;
  known.set(item, now);
  if (!sent.has(item) || before === now) return;
  const words = {completed: "done", refused: "refused", rejected: "refused", broken: "not sent", doubted: "not sent", cut: "cut off, will be retried",
                 paused: "paused", failed: "not processed", quarantined: "locked away", cancelled: "cancelled"}[now];
  if (!words) return;
  news.set(words, [...news.get(words) ?? [], item]);
  speaking ??= setTimeout(announce, 1000);
}

function announce() {
  speaking = null;
  const parts = [...news].map(([words, items]) => {
    if (items.length > 1) return `${count(items.length, "file")} ${words}.`;
    const {problem} = items[0];
    return `${plain(items[0].name)} ${words}${problem ? `: ${reason(problem.message)}` : "."}`;
  });
  news.clear();
  at("said").textContent = parts.join(" ");
}

function speak(text) {
  at("said").textContent = text;
}

// What was uploaded before

let next = null;
let loading = null;
// What was refused on its way in has left a record, but no size: it is nothing to look at.
const KNOWN = "status=completed&status=processing&status=staged&status=failed&status=quarantined&status=rejected";
const FIRST = `uploads?${KNOWN}&limit=${PAGE}`;

async function list() {
  for (const item of [...cards.keys()]) {
    if (sent.has(item) || left.has(item)) continue;
    watch.forget(item);
    drop(item);
  }
  next = FIRST;
  await more();
}

async function more() {
  loading?.abort();
  loading = new AbortController();
  const {signal} = loading;
  at("more").disabled = true;
  at("unlisted").hidden = true;
  try {
    let first = null;
    while (next !== null && first === null) {  // a page may have nothing to show
      const told = await ask(next, {signal});
      unlock();
      next = told.next;
      const there = new Set([...cards.keys()].map(item => item.id));
      for (const each of told.uploads) {
        if (there.has(each.id) || each.size === null) continue;
        const item = new Item({told: each});
        const card = show(item, at("earlier"));
        first ??= card;
        if (!SETTLED.has(each.status)) watch.follow(item);
      }
    }
    if (document.activeElement === at("more") || document.activeElement === document.body) {
      if (moreWasAsked) first?.element.querySelector("button:not([hidden])")?.focus({preventScroll: true});
    }
  } catch (problem) {
    if (problem.name === "AbortError") return;
    if (problem.status === 401) return lock(access.token ? "That token is not valid, or no longer." : "");
    if (!at("access").hidden) return lock(sentence(problem.message));
    unlock();
    at("unlisted").firstElementChild.textContent = `The list cannot be had: ${problem.message}.`;
    at("unlisted").hidden = false;
  } finally {
    moreWasAsked = false;
    at("more").disabled = false;
    at("more").hidden = next === null;
    redraw(null);
  }
}

let moreWasAsked = false;
at("more").addEventListener("click", () => {
  moreWasAsked = true;
  more();
});
at("unlisted").querySelector("button").addEventListener("click", () => {
  next ??= FIRST;
  more();
});

function blank() {
  const isEmpty = at("earlier").childElementCount === 0;
  at("earlier").hidden = isEmpty;
  at("empty").hidden = !isEmpty || sent.size > 0 || next !== null || !at("unlisted").hidden;
  at("before").hidden = isLocked || (isEmpty && at("empty").hidden && at("unlisted").hidden);
}

// Who asks

let isLocked = true;

function lock(why = "") {
  isLocked = true;
  queue.isLocked = watch.isLocked = true;
  at("access").hidden = false;
  at("access-wrong").textContent = why;
  at("token").setAttribute("aria-invalid", String(Boolean(why)));
  for (const id of ["zone", "options", "left", "before", "forget"]) at(id).hidden = true;
  at("token").value = "";
  at("token").focus();
}

function unlock() {
  at("forget").hidden = access.token === null;
  if (!isLocked) return;
  isLocked = watch.isLocked = false;
  const hadFocus = at("access").contains(document.activeElement);
  at("access").hidden = true;
  at("access-wrong").textContent = "";
  for (const id of ["zone", "options"]) at(id).hidden = false;
  if (hadFocus) at("choose").focus();
  recalled = recall();
  queue.unlock();
}

at("access").addEventListener("submit", event => {
  event.preventDefault();
  const token = at("token").value.trim();
  if (!/^[\x21-\x7e]+$/.test(token)) return lock("A token has letters, digits and signs, and no spaces.");
  access.keep(token);
  list();
});
at("forget").addEventListener("click", async () => {
  // What is under way is taken back while there is a token to do it with; a dead line is not waited for.
  const ending = [...[...sent].filter(canCancel).map(item => queue.cancel(item)), ...[...left].map(discard)];
  await Promise.race([Promise.all(ending), wait(5000)]);
  access.forget();
  for (const item of [...sent, ...left]) {
    forget((item.known ?? item.pieces)?.id);
    watch.forget(item);
    remove(item);
  }
  list();
});

// Begin

at("allowed").textContent = allowed(ruleOfAll, Number.isFinite(largest) ? largest : null);
if (ruleOfAll.accept !== null) at("files").accept = ruleOfAll.accept.join(",");
at("choose-folder").hidden = !("webkitdirectory" in at("folder")) || matchMedia("(pointer: coarse)").matches;
list();
