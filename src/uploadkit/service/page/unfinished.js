// What this browser remembers of uploads that have begun and not ended, so that they go on after a reload. The files
// themselves it cannot remember: somebody has to choose them again.

import {address} from "./service.js";

const PREFIX = `uploadkit-unfinished ${address("tus/")}`;  // several services may share an origin

/** What is known of the upload `id` of a file. `expires` is the date of a header, or null. */
export function remember(id, file, {folder, fields, offset, expires}) {
  const {name, size, lastModified, type} = file;
  const known = {id, name, size, lastModified, type, folder, fields, offset, expires};
  try { localStorage.setItem(PREFIX + id, JSON.stringify(known)); } catch { /* forbidden, or full: then it ends with the page */ }
}

export function forget(id) {
  try { localStorage.removeItem(PREFIX + id); } catch { /* it was never there */ }
}

/** All that may still go on, but for those that another tab is at. */
export async function remembered() {
  const elsewhere = await held();
  return [...read()].filter(({id}) => !elsewhere.has(id));
}

function* read() {
  let keys = [];
  try { keys = Object.keys(localStorage).filter(key => key.startsWith(PREFIX)); } catch { return; }
  for (const key of keys) {
    let known = null;
    try { known = JSON.parse(localStorage.getItem(key)); } catch { /* somebody else's */ }
    if (known?.id && !(Date.parse(known.expires) < Date.now())) yield known;
    else localStorage.removeItem(key);
  }
}

/** Whether a file is the one that an upload was begun with, as far as a browser can tell. */
export function isSame(file, known) {
  return ["name", "size", "lastModified", "type"].every(each => file[each] === known[each]);
}

/**
 * Keeps other tabs from going on with an upload. Resolves to a function that lets go of it, null where another tab has
 * it. Pages that came by plain HTTP from another machine have no locks: then the service's own have to do.
 */
export function claim(id) {
  if (!navigator.locks) return Promise.resolve(() => {});
  return new Promise(resolve => navigator.locks.request(PREFIX + id, {ifAvailable: true}, lock => {
    if (lock === null) return resolve(null);
    return new Promise(letGo => resolve(letGo));
  }));
}

async function held() {
  const locks = await navigator.locks?.query();
  return new Set(locks?.held.filter(({name}) => name.startsWith(PREFIX)).map(({name}) => name.slice(PREFIX.length)));
}
