// What the kernel sent: blocks of columns, and all that a page holds of one layout.
import { ARRAYS } from "./shapes.js";

function decode(view) {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  if (String.fromCharCode(...bytes.subarray(0, 4)) !== "CKT1") throw new Error("not a timeline block");
  const length = new DataView(view.buffer, view.byteOffset).getUint32(4, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  const tables = {};
  let place = padded(8 + length);
  for (const [table, name, code, count] of header.columns) {
    const kind = ARRAYS[code];
    const size = count * kind.BYTES_PER_ELEMENT;
    const begin = view.byteOffset + place;
    (tables[table] ??= {})[name] = new kind(view.buffer.slice(begin, begin + size));
    place += padded(size);
  }
  return { header, tables };
}

function padded(size) {
  return size + ((8 - (size % 8)) % 8);
}

class Table {
  constructor() {
    this.length = 0;
    this.columns = {};
  }
  put(start, columns) {
    for (const name in columns) this.columns[name] = grown(this.columns[name], start, columns[name]);
    const any = Object.values(columns)[0];
    this.length = start + (any ? any.length : 0);
  }
  patch(places, columns) {
    for (const name in columns) {
      const own = this.columns[name];
      for (let i = 0; i < places.length; i++) own[places[i]] = columns[name][i];
    }
  }
}

function grown(own, start, more) {
  if (!own && !start) return more; // cut out of its block already: a million ticks are not copied once more
  const need = start + more.length;
  // Whole numbers come as narrow as they are; where a later block needs more, all are held wide.
  const kind = !own || own.constructor === more.constructor ? more.constructor : Int32Array;
  if (!own || own.length < need || own.constructor !== kind) {
    const bigger = new kind(Math.max(1024, need, own && own.length < need ? own.length * 2 : own?.length ?? 0));
    if (own) bigger.set(own.subarray(0, start));
    own = bigger;
  }
  own.set(more, start);
  return own;
}

// All that a browser holds of one layout; grows by blocks, which may overlap with what is there.
export class Store {
  constructor() {
    this.listeners = new Set();
    this.clear();
  }
  clear() {
    this.ticks = new Table();
    this.marks = new Table();
    this.words = [];
    this.labels = new Map();
    this.lanes = [];
    this.kinds = [];
    this.patches = 0;
    Object.assign(this, { first: 0, last: 0, epoch: 0, events: 0, live: false, sorted: true, came: 0, version: 0, fresh: 0 });
  }
  get held() {
    const { ticks, marks, words, patches } = this;
    return { ticks: ticks.length, marks: marks.length, words: words.length, patches };
  }
  // Whether the block fits to what is held; if not, nothing changes.
  apply(view) {
    const { header, tables } = decode(view);
    const { since, until } = header;
    const held = this.held;
    if (Object.keys(held).some((name) => since[name] > held[name])) return false;
    if (since.marks === 0 && since.ticks === 0 && since.words === 0) this.clear();
    this.ticks.put(since.ticks, tables.ticks);
    this.marks.put(since.marks, tables.marks);
    this.marks.patch(tables.changed.index, tables.changes);
    this.words.length = since.words;
    for (const word of header.words) this.words.push(word);
    for (const mark in header.labels) this.labels.set(Number(mark), header.labels[mark]);
    this.patches = until.patches;
    // How many events this one update brought together.
    this.fresh = header.events - this.events;
    if (header.kinds) this.kinds = header.kinds;
    for (const name of ["lanes", "first", "last", "epoch", "events", "live"]) this[name] = header[name];
    this.came = performance.now();
    this.version += 1;
    this.sorted &&= isSorted(this.ticks.columns.x, Math.max(since.ticks, 1), this.ticks.length);
    for (const listener of this.listeners) listener();
    return true;
  }
}

function isSorted(x, begin, end) {
  for (let i = begin; i < end; i++) if (x[i] < x[i - 1]) return false;
  return true;
}

export function lowest(x, length, value) {
  let low = 0, high = length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (x[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
