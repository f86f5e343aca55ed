// Search: a field, a count, the next match and the previous one.
import { button, element } from "./dom.js";
import { plural } from "./format.js";
import { parseQuery, queryBits } from "./query.js";

export class Search {
  constructor(timeline, parent) {
    this.timeline = timeline;
    this.text = "";
    this.clear();
    const box = element("div", "ck-search", parent);
    box.setAttribute("role", "search");
    this.field = element("input", "ck-filter", box);
    this.field.type = "search";
    this.field.maxLength = 500;
    this.field.placeholder = "search: pong, /regex/, sent, only control, -type:…";
    this.field.setAttribute("aria-label", "Search events");
    this.field.title = "words, /regex/, sent, received, only control frames, data, type:pong, connection:2, size>1000; -not, or, ( )";
    this.status = element("span", "ck-found", box, "");
    this.status.setAttribute("role", "status");
    this.back = button(box, "↑", null, () => this.step(-1));
    this.back.setAttribute("aria-label", "Previous match");
    this.ahead = button(box, "↓", null, () => this.step(1));
    this.ahead.setAttribute("aria-label", "Next match");
    this.field.addEventListener("input", () => this.soon());
    this.field.addEventListener("keydown", (event) => this.key(event));
    this.show();
  }

  clear() {
    Object.assign(this, { bits: null, count: 0, length: 0, partial: false, trouble: "", at: -1 });
  }

  get active() {
    return this.bits !== null;
  }

  passes(row) {
    return !this.bits || ((this.bits[row >> 3] ?? 0) >> (row & 7)) & 1;
  }

  key(event) {
    event.stopPropagation(); // JupyterLab's shortcuts are not meant while somebody writes
    if (event.key === "Enter") this.step(event.shiftKey ? -1 : 1);
    else if (event.key !== "Escape" || !this.field.value) return;
    else this.set((this.field.value = ""));
    event.preventDefault();
  }

  soon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.set(this.field.value), 200);
  }

  set(text) {
    clearTimeout(this.timer);
    if (text === this.text && !this.trouble) return;
    this.text = text;
    if (this.field.value !== text) this.field.value = text;
    let tree = null;
    this.trouble = "";
    try {
      tree = parseQuery(text);
    } catch (error) {
      this.refuse(error.message);
      return;
    }
    this.tree = tree;
    this.field.setAttribute("aria-invalid", "false");
    this.timeline.host.setOption("query", tree ? text : "");
    clearTimeout(this.busy);
    if (!tree) {
      this.clear();
      return this.changed();
    }
    this.ask(0);
  }

  ask(since) {
    const { host } = this.timeline;
    this.asked = performance.now();
    if (!host.say) return this.alone();
    host.say("search", { text: this.text, since });
    clearTimeout(this.busy);
    // A kernel that works on a cell answers when it is done: until then, what the page itself can tell.
    this.busy = setTimeout(() => this.alone(), 1500);
  }

  alone() {
    if (this.timeline.closed || !this.tree) return;
    const { store } = this.timeline;
    Object.assign(this, queryBits(this.tree, store), { length: store.events, partial: true });
    this.changed();
  }

  answer(message, bytes) {
    if (message.text !== this.text || !this.tree) return;
    clearTimeout(this.busy);
    const fresh = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const length = message.since + message.length;
    const bits = new Uint8Array(Math.ceil(length / 8) + 1);
    if (message.since && this.bits) bits.set(this.bits.subarray(0, message.since >> 3));
    bits.set(fresh, message.since >> 3);
    let count = 0;
    for (const byte of bits) for (let rest = byte; rest; rest &= rest - 1) count += 1;
    Object.assign(this, { bits, count, length, partial: false });
    this.changed();
  }

  refuse(because) {
    clearTimeout(this.busy);
    this.trouble = because;
    this.field.setAttribute("aria-invalid", "true");
    this.show();
  }

  // More events came: those are asked for, at most three times a second.
  grown() {
    const { store } = this.timeline;
    if (!this.tree || !this.active || store.events <= this.length || this.waiting) return;
    this.waiting = setTimeout(() => {
      this.waiting = 0;
      if (!this.timeline.closed && this.tree) this.ask(this.partial ? 0 : this.length & ~7);
    }, Math.max(0, 330 - (performance.now() - this.asked)));
  }

  changed() {
    this.show();
    this.timeline.schedule();
    this.timeline.table?.refresh();
  }

  show() {
    const some = this.active && this.count > 0;
    this.back.disabled = this.ahead.disabled = !some;
    const where = some && this.at >= 0 && this.passes(this.at) ? `${this.rank(this.at).toLocaleString("en")} of ` : "";
    const unsure = this.partial ? (this.timeline.host.say ? ", payloads not searched yet" : ", payloads not searched") : "";
    const words = this.trouble || (this.active ? `${where}${plural(this.count, "match").replace(/matchs$/, "matches")}${unsure}` : "");
    this.status.textContent = words.slice(0, 200);
    this.status.dataset.trouble = String(Boolean(this.trouble));
  }

  rank(row) {
    let count = 0;
    for (let i = 0; i < row >> 3; i++) for (let rest = this.bits[i]; rest; rest &= rest - 1) count += 1;
    for (let i = row & ~7; i <= row; i++) count += this.passes(i) ? 1 : 0;
    return count;
  }

  step(way) {
    if (!this.active || !this.count) return;
    const length = this.length;
    let row = this.at >= 0 ? this.at : way > 0 ? -1 : length;
    for (let n = 0; n < length; n++) {
      row = (row + way + length) % length;
      if (way > 0 && !(row & 7)) while (!this.bits[row >> 3] && row + 8 < length) row += 8;
      if (!this.passes(row)) continue;
      this.at = row;
      this.show();
      return this.timeline.goTo(row);
    }
  }
}
