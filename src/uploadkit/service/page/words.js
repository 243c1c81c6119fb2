// Numbers and answers as people read them. No DOM, no I/O.

/** Bytes, by thousands as the limits of the service count them. */
export function size(bytes) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (bytes >= 999.5 && unit < units.length - 1) {
    bytes /= 1000;
    unit += 1;
  }
  if (unit === 0) return bytes === 1 ? "1 byte" : `${Math.round(bytes)} bytes`;
  return `${bytes < 9.95 ? Number(bytes.toFixed(1)) : Math.round(bytes)} ${units[unit]}`;
}

/** A length of time, as exact as one can guess it. */
export function time(seconds) {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  const minutes = Math.round(seconds / 60);
  return minutes % 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${minutes / 60} h`;
}

export function count(number, one, many = `${one}s`) {
  return `${number} ${number === 1 ? one : many}`;
}

/** What the service says begins small and ends without a full stop. */
export function sentence(text) {
  const whole = text.trim();
  if (!whole) return "";
  return whole[0].toUpperCase() + whole.slice(1) + (/[.!?…]$/.test(whole) ? "" : ".");
}

/** Why something was refused. The one field of this page says nothing to who reads it. */
export function reason(text) {
  return sentence(text.replace(/\b(the )?file 'file'/, "this file").replace(" in field 'file'", ""));
}

/** A file's name without what turns the direction of the text around it, by which an .exe looks like a .jpg. */
export function plain(name) {
  return name.replace(/[\u0000-\u001f\u007f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "\ufffd");
}

const moments = new Intl.DateTimeFormat("en", {dateStyle: "medium", timeStyle: "short"});

export function moment(text) {
  const date = new Date(text);
  return Number.isNaN(date.valueOf()) ? text : moments.format(date);
}

const KINDS = {image: "pictures", application: "documents", video: "videos", audio: "audio", text: "text"};

/** What may be sent, from the rules of the service. */
export function allowed(rule, largest) {
  const parts = [];
  if (rule.accept !== null) {
    const types = rule.accept.filter(type => type.includes("/"));
    const kinds = new Set(types.map(type => type.split("/")[0]));
    const words = Object.keys(KINDS).filter(kind => kinds.has(kind)).map(kind => KINDS[kind]);
    const some = types.length <= 4 ? types.map(type => type.split("/")[1].toUpperCase()) : words;
    parts.push(sentence(new Intl.ListFormat("en-GB", {type: "conjunction"}).format(some)));
  }
  if (largest !== null) parts.push(`${size(largest)} a file at most.`);
  return parts.join(" ");
}

/** What somebody can do about a refusal. */
export function advice(problem) {
  switch (problem.code) {
    case "limit_exceeded": return "Send a smaller file.";
    case "quota_exceeded": return "Delete uploads that are no longer needed, and retry.";
    case "file_refused": return problem.status === 415 ? "Send a file of another type." : "";
    case "field_refused": return problem.field === "tags" ? "Mend the tags, and add the file again." : "";
    default: return problem.isPassing || problem.status === 500 ? "Retry in a while." : "";
  }
}
