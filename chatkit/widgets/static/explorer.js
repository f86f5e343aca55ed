// The timeline on a canvas. Draws the layout that the kernel computed; decides nothing but where pixels go.
// Text from outside reaches the page by textContent and fillText only.

const LIFE = 0, ATTEMPT = 1, OPEN = 2, CROSS = 3, END = 4, PING = 5, ARC = 6, UNDERLINE = 7, SEGMENT = 8, BAR = 9;
const CAP = 10, POINT = 11, DIAMOND = 12, AREA = 13, DOT = 14;
const TONES = ["received", "sent", "ok", "bad", "remark", "typing", "quiet", "lag"];
const LEFT = 132, RIGHT = 22, OVER_TOP = 8, OVER_HIGH = 24, LANES_TOP = 44, AXIS = 28, PITCH = 38;
const ROOM = 1200; // pixels that lanes may take; more lanes stand closer
const FOLLOW_SPAN = 120; // seconds of a live timeline that are shown once it is longer
const LEAST_SPAN = 1e-4; // seconds
const STOREY = [0, -9, 9];
const ARRAYS = { "<f8": Float64Array, "<f4": Float32Array, "<i4": Int32Array, "<i1": Int8Array, "<u1": Uint8Array };
const SOLID = new Set([CROSS, BAR, POINT, DIAMOND]);
const WAITING = [["kernel", "asked for the whole event; it answers when its cell is done"]];
const RANK = [CROSS, END, UNDERLINE, ARC, BAR, DIAMOND, AREA, POINT, SEGMENT];

// ---------------------------------------------------------------- what the kernel sent

export function decode(view) {
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
  const need = start + more.length;
  if (!own || own.length < need) {
    const bigger = new more.constructor(Math.max(1024, need, own ? own.length * 2 : 0));
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
    Object.assign(this, { first: 0, last: 0, epoch: 0, events: 0, live: false, sorted: true, came: 0, version: 0 });
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

function lowest(x, length, value) {
  let low = 0, high = length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (x[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

// ---------------------------------------------------------------- small things

function element(tag, name, parent, text) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (text !== undefined) made.textContent = text;
  parent?.append(made);
  return made;
}

function button(parent, text, pressed, act) {
  const made = element("button", "ck-button", parent, text);
  made.type = "button";
  if (pressed !== null) made.setAttribute("aria-pressed", String(pressed));
  made.addEventListener("click", act);
  return made;
}

function plural(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

function clockFormat(zone, options) {
  const base = { hour12: false, hour: "2-digit", minute: "2-digit", second: "2-digit", ...options };
  try {
    return new Intl.DateTimeFormat("en-GB", { ...base, timeZone: zone || undefined });
  } catch {
    return new Intl.DateTimeFormat("en-GB", { ...base, timeZone: "UTC" });
  }
}

function zoneName(zone, date) {
  const parts = clockFormat(zone, { timeZoneName: "shortOffset" }).formatToParts(date);
  return (parts.find((part) => part.type === "timeZoneName")?.value ?? "").replace("GMT", "UTC").replace(/^UTC\+0$/, "UTC");
}

function niceStep(rough, clock) {
  const long = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400];
  if (rough >= 1) {
    const found = (clock ? long : [1, 2, 3, 5, 6, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600]).find((s) => s >= rough);
    if (found) return found;
  }
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * [1, 2, 5, 10].find((n) => n * power >= rough * 0.999);
}

// "type", "/regex/", "only control": what a filter lets through. Null lets all through.
export function filterOf(text) {
  const wanted = text.trim();
  if (!wanted) return null;
  if (wanted.toLowerCase() === "only control") return { control: true, test: () => true };
  const pattern = /^\/(.+)\/?$/.test(wanted) && wanted.length > 2 ? wanted.replace(/^\//, "").replace(/\/$/, "") : null;
  if (pattern !== null) {
    const regex = new RegExp(pattern, "i");
    return { control: false, test: (words) => regex.test(words) };
  }
  const low = wanted.toLowerCase();
  return { control: false, test: (words) => words.toLowerCase().includes(low) };
}

// ---------------------------------------------------------------- one view

export class Timeline {
  // host: { ask(kind, row), select(rows), rows(), option(name), setOption(name, value) }
  constructor(root, store, host) {
    this.root = root;
    this.store = store;
    this.host = host;
    this.mode = "all";
    this.view = [0, 1];
    this.filter = null;
    this.chosen = -1;
    this.hovered = null;
    this.widths = new Map();
    this.undo = [];
    this.waiting = [];
    this.build();
    this.watch();
    this.readTheme();
    this.refresh();
  }

  // -- parts

  build() {
    const { root } = this;
    root.classList.add("ck-timeline");
    const head = element("div", "ck-head", root);
    element("span", "ck-name", head, "Timeline");
    this.title = element("span", "ck-title", head);
    this.field = element("input", "ck-filter", head);
    this.field.type = "text";
    this.field.placeholder = "filter: type, /regex/, only control";
    this.field.setAttribute("aria-label", "Filter events");
    this.field.addEventListener("input", () => this.setFilter(this.field.value));
    this.followButton = button(head, "Follow", false, () => this.follow());
    this.clockButton = button(head, "Clock time", false, () => this.toggle("clock"));
    this.alignButton = button(head, "Align at open", false, () => this.toggle("align"));
    this.stage = element("div", "ck-stage", root);
    this.stage.tabIndex = 0;
    this.stage.setAttribute("role", "application");
    this.stage.setAttribute(
      "aria-label",
      "Timeline. Arrow keys move, plus and minus zoom, Home shows all, Enter begins to step through the events.",
    );
    this.canvas = element("canvas", "", this.stage);
    this.context = this.canvas.getContext("2d");
    this.tip = element("div", "ck-tip", this.stage);
    this.tip.hidden = true;
    this.spoken = element("div", "ck-spoken", root);
    this.spoken.setAttribute("aria-live", "polite");
    this.detail = element("div", "ck-detail", root);
    this.detail.hidden = true;
  }

  on(target, name, act, options) {
    target.addEventListener(name, act, options);
    this.undo.push(() => target.removeEventListener(name, act, options));
  }

  watch() {
    const { stage } = this;
    this.on(stage, "wheel", (event) => this.wheel(event), { passive: false });
    this.on(stage, "pointerdown", (event) => this.press(event));
    this.on(stage, "pointermove", (event) => this.move(event));
    this.on(stage, "pointerup", (event) => this.release(event));
    this.on(stage, "pointercancel", () => (this.drag = null));
    this.on(stage, "pointerleave", () => this.hover(null));
    this.on(stage, "dblclick", () => this.all());
    this.on(stage, "keydown", (event) => this.key(event));
    const sizes = new ResizeObserver(() => this.refresh());
    sizes.observe(stage);
    const themes = new MutationObserver(() => this.readTheme());
    themes.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "class", "data-jp-theme-name"] });
    const dark = matchMedia("(prefers-color-scheme: dark)");
    this.on(dark, "change", () => this.readTheme());
    const changed = () => this.refresh();
    this.store.listeners.add(changed);
    const beat = setInterval(() => this.store.live && this.mode !== "free" && this.schedule(), 250);
    this.undo.push(() => sizes.disconnect(), () => themes.disconnect(), () => this.store.listeners.delete(changed));
    this.undo.push(() => clearInterval(beat), () => cancelAnimationFrame(this.frame));
  }

  close() {
    for (const act of this.undo) act();
    this.undo = [];
    this.closed = true;
    this.settle();
  }

  readTheme() {
    const said = document.body.dataset.jpThemeLight;
    const dark = said !== undefined ? said === "false"
      : document.body.classList.contains("vscode-dark") || matchMedia("(prefers-color-scheme: dark)").matches;
    this.root.dataset.ckTheme = dark ? "dark" : "light";
    // JupyterLab swaps its style sheet after the attribute: look again when it is there.
    clearTimeout(this.themeTimer);
    this.readColours();
    this.themeTimer = setTimeout(() => this.closed || this.readColours(), 300);
  }

  readColours() {
    const style = getComputedStyle(this.root);
    const read = (name) => style.getPropertyValue(`--ck-${name}`).trim();
    this.tones = TONES.map(read);
    this.colours = Object.fromEntries(["ground", "ink", "dim", "line", "grid", "received"].map((n) => [n, read(n)]));
    this.family = style.fontFamily;
    this.widths.clear();
    this.schedule();
  }

  // -- data and geometry

  get aligned() {
    return this.host.option("align") === "open";
  }

  refresh() {
    if (this.closed) return;
    const { store } = this;
    this.lanes = store.lanes.filter((lane) => !this.aligned || lane.kind === "connection");
    const top = Math.max(0, ...store.lanes.map((lane) => lane.code));
    this.order = new Int32Array(top + 1).fill(-1);
    this.origin = new Float64Array(top + 1);
    this.lanes.forEach((lane, n) => {
      this.order[lane.code] = n;
      this.origin[lane.code] = this.aligned ? lane.origin ?? 0 : 0;
    });
    this.pitch = Math.min(PITCH, ROOM / Math.max(1, this.lanes.length));
    this.scale = Math.min(1, this.pitch / PITCH);
    this.width = Math.max(320, this.stage.clientWidth || 960);
    this.height = Math.round(LANES_TOP + Math.max(1, this.lanes.length) * this.pitch + AXIS);
    this.extent = this.findExtent();
    this.fitView();
    this.stage.style.height = `${this.height}px`;
    // Counting a million events takes milliseconds: not at every delta.
    if (!this.overview || this.store.events < 50_000 || performance.now() - this.overview.made > 1000) this.overview = null;
    this.showTitle();
    this.schedule();
  }

  findExtent() {
    const { first, last } = this.store;
    if (!this.aligned) return [first, Math.max(last, first + 1e-3)];
    let begin = 0, end = 1e-3;
    this.eachMark((m, lane) => {
      begin = Math.min(begin, this.markX0(m, lane));
      end = Math.max(end, this.markX1(m, lane));
    });
    const { x, lane } = this.store.ticks.columns;
    for (let i = 0; i < this.store.ticks.length; i++) {
      if (this.order[lane[i]] >= 0) end = Math.max(end, x[i] - this.origin[lane[i]]);
    }
    return [begin, end];
  }

  now() {
    const { store } = this;
    const ahead = store.live && this.mode !== "free" && !this.aligned ? (performance.now() - store.came) / 1000 : 0;
    return store.last + Math.min(ahead, 5);
  }

  fitView() {
    const [first, last] = this.extent;
    const end = this.aligned ? last : Math.max(last, this.now());
    const live = this.store.live && !this.aligned;
    if (this.mode === "all" && live && end - first > FOLLOW_SPAN) this.setMode("follow", FOLLOW_SPAN);
    const pad = (end - first) * 0.004;
    if (this.mode === "all") this.view = [first - pad, end + pad];
    else if (this.mode === "follow") this.view = [end - this.span, end];
  }

  setMode(mode, span) {
    this.mode = mode;
    this.span = span ?? this.view[1] - this.view[0];
    this.followButton.setAttribute("aria-pressed", String(mode === "follow"));
  }

  x(seconds) {
    const [a, b] = this.view;
    return LEFT + ((seconds - a) / (b - a)) * (this.width - LEFT - RIGHT);
  }
  seconds(x) {
    const [a, b] = this.view;
    return a + ((x - LEFT) / (this.width - LEFT - RIGHT)) * (b - a);
  }
  y(lane) {
    return LANES_TOP + (this.order[lane] + 0.5) * this.pitch;
  }
  markX0(m, lane) {
    return this.store.marks.columns.x0[m] - this.origin[lane];
  }
  markX1(m, lane) {
    const end = this.store.marks.columns.x1[m];
    return (end === Infinity ? this.now() : end) - this.origin[lane];
  }

  eachMark(act) {
    const { length, columns } = this.store.marks;
    for (let m = 0; m < length; m++) {
      const lane = columns.lane[m];
      if (this.order[lane] >= 0) act(m, lane, columns.shape[m], columns.tone[m]);
    }
  }

  tickRange() {
    const { ticks, sorted } = this.store;
    if (!sorted || this.aligned || !ticks.length) return [0, ticks.length];
    const { x } = ticks.columns;
    return [lowest(x, ticks.length, this.seconds(LEFT - 2)), lowest(x, ticks.length, this.seconds(this.width))];
  }

  markPasses(m) {
    const { filter, store } = this;
    if (!filter) return true;
    const { shape, word, kind } = store.marks.columns;
    if (shape[m] === LIFE) return true;
    return filter.test(`${store.words[word[m]]} ${store.kinds[kind[m]]}`);
  }

  tickFilter() {
    const { filter, store } = this;
    if (!filter) return null;
    if (filter.control) return () => false;
    if (this.passing?.filter === filter && this.passing.words === store.words.length) return this.passing.test;
    const passes = store.words.map((word) => filter.test(`${word} ${/^sent/.test(word) ? "FrameSent" : "FrameReceived"}`));
    const test = (i) => passes[store.ticks.columns.word[i]];
    this.passing = { filter, words: store.words.length, test };
    return test;
  }

  // Lets one mark of a lane, shape and level through per pixel: a crowd costs pixels, not marks.
  // Marks come nearly in the order of time, so a look at the last one drawn is enough.
  crowd(least = 1) {
    const last = new Float64Array((this.order.length + 1) * 128).fill(-1e9);
    const { shape, level, lane } = this.store.marks.columns;
    return (m, x, end = x) => {
      const key = lane[m] * 128 + shape[m] * 8 + level[m] + 4;
      if (x >= last[key] - least && end < last[key] + least) return true;
      last[key] = end;
      return false;
    };
  }

  // -- drawing

  schedule() {
    if (this.closed || this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
      this.settle();
    });
  }

  // Calls back when what is held now has been painted; soon in any case, a hidden page paints nothing.
  painted(act) {
    this.waiting.push(act);
    this.schedule();
    setTimeout(() => this.settle(), 400);
  }

  settle() {
    for (const act of this.waiting.splice(0)) act();
  }

  draw() {
    if (this.closed || !this.lanes) return;
    if (this.mode !== "free") this.fitView();
    const ratio = window.devicePixelRatio || 1;
    this.ratio = ratio;
    const wide = Math.round(this.width * ratio), high = Math.round(this.height * ratio);
    if (this.canvas.width !== wide || this.canvas.height !== high) {
      Object.assign(this.canvas, { width: wide, height: high });
      Object.assign(this.canvas.style, { width: `${this.width}px`, height: `${this.height}px` });
    }
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.context.clearRect(0, 0, this.width, this.height);
    this.drawOverview();
    this.drawGrid();
    this.clipped(() => {
      this.drawBars();
      this.drawArea();
      this.drawTicks();
      this.drawSymbols();
      this.drawChosen();
    });
    this.drawWords();
  }

  clipped(act) {
    const { context } = this;
    context.save();
    context.beginPath();
    context.rect(LEFT - 8, LANES_TOP - 4, this.width - LEFT - RIGHT + 16, this.height - LANES_TOP - AXIS + 8);
    context.clip();
    act();
    context.restore();
  }

  font(size, weight = 400) {
    this.context.font = `${weight} ${size}px ${this.family}`;
  }

  text(words, x, y, colour, size = 11, weight = 400, align = "left") {
    this.font(size, weight);
    this.context.textAlign = align;
    this.context.textBaseline = "middle";
    this.context.fillStyle = colour;
    this.context.fillText(words, x, y);
  }

  measure(words, size, weight) {
    const key = `${size} ${weight} ${words}`;
    let width = this.widths.get(key);
    if (width === undefined) {
      this.font(size, weight);
      width = this.context.measureText(words).width;
      if (this.widths.size > 5000) this.widths.clear();
      this.widths.set(key, width);
    }
    return width;
  }

  density(bins) {
    const [first, last] = this.extent;
    const counts = new Float64Array(bins);
    const add = (x, lane) => {
      if (this.order[lane] < 0) return;
      const n = Math.floor(((x - this.origin[lane] - first) / (last - first)) * bins);
      counts[Math.max(0, Math.min(bins - 1, n))] += 1;
    };
    const { ticks, marks } = this.store;
    for (let i = 0; i < ticks.length; i++) add(ticks.columns.x[i], ticks.columns.lane[i]);
    for (let i = 0; i < marks.length; i++) add(marks.columns.x0[i], marks.columns.lane[i]);
    return counts;
  }

  drawOverview() {
    const { context, colours } = this;
    const wide = this.width - LEFT - RIGHT, bins = Math.max(60, Math.floor(wide / 5));
    if (this.overview?.bins !== bins) this.overview = { bins, counts: this.density(bins), made: performance.now() };
    const { counts } = this.overview;
    const most = Math.sqrt(Math.max(1, counts.reduce((a, b) => Math.max(a, b), 0)));
    this.text("overview", 0, OVER_TOP + OVER_HIGH - 9, colours.dim);
    context.fillStyle = colours.received;
    context.globalAlpha = 0.4;
    counts.forEach((count, n) => {
      const high = (Math.sqrt(count) / most) * (OVER_HIGH - 3);
      if (count) context.fillRect(LEFT + (n * wide) / bins, OVER_TOP + OVER_HIGH - high, wide / bins - 0.8, high);
    });
    context.globalAlpha = 1;
    context.strokeStyle = colours.line;
    context.lineWidth = 1;
    context.strokeRect(LEFT + 0.5, OVER_TOP + 0.5, wide - 1, OVER_HIGH - 1);
    this.drawBrush(wide);
  }

  drawBrush(wide) {
    const [first, last] = this.extent;
    const at = (seconds) => LEFT + Math.max(0, Math.min(1, (seconds - first) / (last - first))) * wide;
    const a = at(this.view[0]), b = Math.max(at(this.view[1]), at(this.view[0]) + 2);
    if (b - a > wide - 1) return;
    const { context, colours } = this;
    context.fillStyle = colours.ground;
    context.globalAlpha = 0.6;
    context.fillRect(LEFT, OVER_TOP, a - LEFT, OVER_HIGH);
    context.fillRect(b, OVER_TOP, LEFT + wide - b, OVER_HIGH);
    context.globalAlpha = 1;
    context.strokeStyle = colours.received;
    context.strokeRect(a + 0.5, OVER_TOP + 0.5, Math.max(1, b - a - 1), OVER_HIGH - 1);
  }

  axisTicks() {
    const [a, b] = this.view;
    const clock = this.host.option("clock") && !this.aligned;
    const step = niceStep(((b - a) * 110) / (this.width - LEFT - RIGHT), clock);
    const shift = clock ? this.store.epoch % step : 0;
    const found = [];
    for (let n = Math.ceil((a + shift) / step); n * step - shift <= b && found.length < 60; n++) found.push(n * step - shift);
    return { step, found, clock };
  }

  axisText(seconds, step, clock) {
    if (!clock) return `${seconds.toFixed(Math.max(0, -Math.floor(Math.log10(step) + 1e-9)))} s`;
    const digits = step < 1 ? Math.min(3, -Math.floor(Math.log10(step) + 1e-9)) : undefined;
    const format = clockFormat(this.host.option("zone"), digits ? { fractionalSecondDigits: digits } : {});
    return format.format((this.store.epoch + seconds) * 1000 + 1e-6);
  }

  drawGrid() {
    const { context, colours } = this;
    const bottom = this.height - AXIS;
    const { step, found, clock } = this.axisTicks();
    context.strokeStyle = colours.grid;
    context.lineWidth = 1;
    context.beginPath();
    for (const seconds of found) {
      const x = Math.round(this.x(seconds)) + 0.5;
      context.moveTo(x, LANES_TOP);
      context.lineTo(x, bottom);
      const text = this.axisText(Math.abs(seconds) < step / 1e6 ? 0 : seconds, step, clock);
      this.text(text, x, bottom + 16, colours.dim, 11, 400, "center");
    }
    const every = Math.max(1, Math.ceil(13 / this.pitch));
    this.lanes.forEach((lane, n) => {
      const y = Math.round(LANES_TOP + (n + 1) * this.pitch) - 0.5;
      if (this.pitch > 8) context.moveTo(LEFT, y), context.lineTo(this.width - RIGHT, y);
      if (n % every) return;
      const strong = lane.kind === "connection";
      this.text(this.fitted(lane.title, LEFT - 10), 0, y - this.pitch / 2, strong ? colours.ink : colours.dim, 11, strong ? 600 : 400);
    });
    context.stroke();
  }

  fitted(words, room) {
    if (this.measure(words, 11, 600) <= room) return words;
    let short = words;
    while (short.length > 3 && this.measure(`${short}…`, 11, 600) > room) short = short.slice(0, -1);
    return `${short}…`;
  }

  drawBars() {
    const { context } = this;
    const heights = { [LIFE]: 16, [ATTEMPT]: 2, [UNDERLINE]: 3, [SEGMENT]: 14, [BAR]: 12 };
    const alphas = { [LIFE]: 0.15, [ATTEMPT]: 0.8, [UNDERLINE]: 1, [SEGMENT]: 0.2, [BAR]: 0.5 };
    const { level } = this.store.marks.columns;
    const crowded = this.crowd(0.6);
    this.eachMark((m, lane, shape, tone) => {
      if (heights[shape] === undefined) return;
      const a = Math.max(this.x(this.markX0(m, lane)), LEFT - 8);
      const b = Math.min(this.x(this.markX1(m, lane)), this.width - RIGHT + 8);
      if (b < LEFT - 8 || a > this.width || (b - a < 1 && crowded(m, a, b))) return;
      const high = Math.max(1, heights[shape] * this.scale);
      const below = shape === UNDERLINE ? 9 : shape === BAR ? STOREY[level[m]] - 6 : -heights[shape] / 2;
      context.globalAlpha = this.markPasses(m) ? alphas[shape] : 0.06;
      context.fillStyle = this.tones[tone];
      context.beginPath();
      const round = shape === BAR && this.laneKind(lane) === "typing" ? 5 : shape === UNDERLINE || shape === ATTEMPT ? 0 : 2;
      context.roundRect(a, this.y(lane) + below * this.scale, Math.max(1, b - a), high, round);
      context.fill();
    });
    context.globalAlpha = 1;
  }

  laneKind(code) {
    return this.lanes[this.order[code]]?.kind;
  }

  drawArea() {
    const { context, store } = this;
    const samples = [];
    let lane = -1, most = 0.1;
    this.eachMark((m, code, shape) => {
      if (shape !== AREA) return;
      lane = code;
      most = Math.max(most, store.marks.columns.value[m]);
      samples.push(m);
    });
    if (!samples.length) return;
    const base = this.y(lane) + 12 * this.scale;
    context.beginPath();
    context.moveTo(this.x(this.markX0(samples[0], lane)), base);
    for (const m of samples) {
      const x = this.x(this.markX0(m, lane));
      context.lineTo(x, base - (store.marks.columns.value[m] / most) * 24 * this.scale);
    }
    context.lineTo(this.x(this.markX0(samples[samples.length - 1], lane)), base);
    context.closePath();
    context.globalAlpha = 0.4;
    context.fillStyle = this.tones[7];
    context.fill();
    context.globalAlpha = 1;
  }

  // Ticks that fall into one device pixel of a lane are one tick: painting costs pixels, not frames.
  drawTicks() {
    const { context, store, ratio } = this;
    const { x, lane, up } = store.ticks.columns;
    const [begin, end] = this.tickRange();
    if (begin >= end) return;
    const wide = Math.ceil((this.width - LEFT + 8) * ratio);
    const seen = new Uint8Array(this.lanes.length * 2 * wide);
    const passes = this.tickFilter();
    const factor = ((this.width - LEFT - RIGHT) / (this.view[1] - this.view[0])) * ratio;
    const start = this.view[0];
    for (let i = begin; i < end; i++) {
      const n = this.order[lane[i]];
      if (n < 0 || (passes && !passes(i))) continue;
      const column = Math.floor((x[i] - this.origin[lane[i]] - start) * factor);
      if (column >= -2 && column < wide - 2) seen[(n * 2 + (up[i] > 0 ? 1 : 0)) * wide + column + 2] = 1;
    }
    for (const side of [0, 1]) this.fillTicks(seen, wide, side, context);
  }

  fillTicks(seen, wide, side, context) {
    const thick = Math.max(1, Math.round(1.5 * this.ratio)) / this.ratio;
    context.fillStyle = this.tones[side ? 0 : 1];
    context.globalAlpha = 0.9;
    context.beginPath();
    for (let n = 0; n < this.lanes.length; n++) {
      const y = LANES_TOP + (n + 0.5) * this.pitch + (side ? -8 * this.scale : 0);
      const row = (n * 2 + side) * wide;
      for (let c = 0; c < wide; c++) {
        if (seen[row + c]) context.rect(LEFT + (c - 2) / this.ratio - thick / 2, y, thick, Math.max(1, 8 * this.scale));
      }
    }
    context.fill();
    context.globalAlpha = 1;
  }

  drawSymbols() {
    const { context } = this;
    const { level } = this.store.marks.columns;
    const crowded = this.crowd();
    this.eachMark((m, lane, shape, tone) => {
      if (shape === AREA || shape === LIFE || shape === BAR || shape === SEGMENT || shape === UNDERLINE || shape === ATTEMPT) return;
      const x = this.x(this.markX0(m, lane));
      if (x < LEFT - 20 || x > this.width + 20 || crowded(m, x)) return;
      context.globalAlpha = this.markPasses(m) ? 1 : 0.08;
      context.fillStyle = context.strokeStyle = this.tones[tone];
      this.symbol(shape, x, this.y(lane), level[m], this.scale, this.x(this.markX1(m, lane)));
    });
    context.globalAlpha = 1;
  }

  symbol(shape, x, y, level, scale, end) {
    const { context } = this;
    const line = (width, ...points) => {
      context.lineWidth = Math.max(1, width * scale);
      context.beginPath();
      points.forEach(([dx, dy], n) => (n % 2 ? context.lineTo(x + dx * scale, y + dy * scale) : context.moveTo(x + dx * scale, y + dy * scale)));
      context.stroke();
    };
    const fill = (...points) => {
      context.beginPath();
      points.forEach(([dx, dy], n) => (n ? context.lineTo(x + dx * scale, y + dy * scale) : context.moveTo(x + dx * scale, y + dy * scale)));
      context.fill();
    };
    const disc = (radius, dy) => {
      context.beginPath();
      context.arc(x, y + dy * scale, Math.max(1, radius * scale), 0, 7);
      context.fill();
    };
    if (shape === OPEN) line(3, [0, -8], [0, 8]);
    else if (shape === END) line(1.5, [0, -8], [0, 8]);
    else if (shape === CAP) line(1.5, [0, STOREY[level] - 6], [0, STOREY[level] + 6]);
    else if (shape === CROSS) line(2.2, [-5, -5], [5, 5], [-5, 5], [5, -5]);
    else if (shape === PING) level < 0 ? fill([-5, 8], [0, -1], [5, 8]) : fill([-5, -8], [0, 1], [5, -8]);
    else if (shape === POINT) disc(5, 0);
    else if (shape === DIAMOND) fill([-5, 0], [0, -6], [5, 0], [0, 6]);
    else if (shape === DOT) context.globalAlpha *= 0.7, disc(2, level < 0 ? 11 : level > 0 ? -11 : 0);
    else if (shape === ARC) this.arc(x, y, Math.max(end, x + 12), scale);
  }

  arc(x, y, end, scale) {
    const { context } = this;
    context.lineWidth = 1.2;
    context.beginPath();
    context.moveTo(x, y - 2 * scale);
    context.quadraticCurveTo((x + end) / 2, y - 16 * scale, end, y - 2 * scale);
    context.stroke();
  }

  drawChosen() {
    const rows = new Set(this.host.rows());
    if (this.chosen >= 0) rows.add(this.chosen);
    if (!rows.size) return;
    const { context, colours } = this;
    context.strokeStyle = colours.ink;
    context.lineWidth = 1.2;
    const ring = (x, y) => {
      context.beginPath();
      context.arc(x, y, 9 * Math.max(this.scale, 0.5), 0, 7);
      context.stroke();
    };
    const { columns } = this.store.marks;
    const quiet = new Set([ARC, UNDERLINE, CAP]);
    this.eachMark((m, lane, shape) => {
      if (rows.has(columns.row[m]) && !quiet.has(shape)) ring(this.x(this.markX0(m, lane)), this.y(lane));
    });
    const { row, x, lane } = this.store.ticks.columns;
    for (const wanted of rows) {
      const i = lowest(row ?? [], this.store.ticks.length, wanted);
      if (i < this.store.ticks.length && row[i] === wanted && this.order[lane[i]] >= 0) {
        ring(this.x(x[i] - this.origin[lane[i]]), this.y(lane[i]));
      }
    }
  }

  // -- words: what matters most first, and never one over another

  drawWords() {
    if (this.pitch < 12) return;
    const taken = new Map();
    const wanted = [];
    const crowded = this.crowd(4);
    this.born = new Map();
    this.eachMark((m, lane, shape) => {
      const a = this.x(this.markX0(m, lane)), b = this.x(this.markX1(m, lane));
      if (b < LEFT - 200 || a > this.width + 200) return;
      if ((shape === LIFE || shape === ATTEMPT) && !this.born.has(lane)) this.born.set(lane, a);
      if (SOLID.has(shape)) occupy(this.rowOf(taken, lane, false), a - 5, Math.max(a, b) + 5);
      const label = this.store.labels.get(m);
      if (!label || !(label[0] || label[1]) || (b - a < 4 && crowded(m, a, b))) return;
      if (this.markPasses(m)) wanted.push({ m, lane, shape, a, b, label });
    });
    wanted.sort((p, q) => RANK.indexOf(p.shape) - RANK.indexOf(q.shape) || p.m - q.m);
    for (const item of wanted.slice(0, 600)) this.drawLabel(item, taken);
  }

  rowOf(taken, lane, low) {
    const key = lane * 2 + (low ? 1 : 0);
    if (!taken.has(key)) taken.set(key, []);
    return taken.get(key);
  }

  drawLabel({ m, lane, shape, a, b, label }, taken) {
    const [strong, dim, below] = label;
    const stream = shape === BAR && this.laneKind(lane) === "streaming";
    const low = shape === UNDERLINE || shape === ARC || stream;
    const size = low ? 10 : 11;
    const first = strong ? this.measure(strong, size, 600) + 8 : 0;
    const room = Math.max(first + this.measure(dim, size, 400), below ? this.measure(below, 10, 400) : 0);
    const inside = shape === SEGMENT;
    const from = inside || low ? Math.max(a, LEFT) : b;
    if (inside && Math.min(b, this.width - RIGHT) - from < room + 10) return;
    if ((shape === UNDERLINE || stream) && b < LEFT) return;
    const gap = stream ? 1 : { [ARC]: 14, [UNDERLINE]: 2, [SEGMENT]: 5, [BAR]: 6, [END]: 6, [AREA]: 14 }[shape] ?? 10;
    const under = this.rowOf(taken, lane, true);
    // To the left of a short life, not upon it; upon a long one there is room.
    const ending = shape === CROSS || shape === END;
    const born = ending ? this.born.get(lane) ?? a : a;
    const left = a - born < 80 ? Math.min(a, born) : a;
    // An ending's words stand below the line rather than nowhere.
    for (const down of ending ? [false, true] : [low]) {
      const row = this.rowOf(taken, lane, down), more = down ? "" : below;
      for (const x of [from + gap, left - gap - room]) {
        const end = x + room;
        if (x < LEFT || end > this.width || (from < LEFT && !inside)) continue;
        if (!free(row, x, end) || (more && !free(under, x, end))) continue;
        row.push([x, end + 6]);
        if (more) under.push([x, x + this.measure(more, 10, 400) + 6]);
        const words = [strong, dim, more];
        this.writeLabel(words, x, this.y(lane), down, size, first, this.store.marks.columns.tone[m], x < from);
        return;
      }
    }
  }

  writeLabel([strong, dim, below], x, y, low, size, first, tone, over) {
    const { context, colours } = this;
    const line = low ? y + 18 * this.scale : y;
    if (over && strong) {
      context.fillStyle = colours.ground;
      context.globalAlpha = 0.8;
      context.fillRect(x - 3, line - 8, first + this.measure(dim, size, 400) + 6, 16);
      context.globalAlpha = 1;
    }
    if (strong) this.text(strong, x, line, this.tones[tone], size, 600);
    this.text(dim, x + first, line, colours.dim, size);
    if (below && this.pitch > 28) this.text(below, x, y + 13, colours.dim, 10);
  }

  // -- finding

  hit(px, py) {
    const n = Math.floor((py - LANES_TOP) / this.pitch);
    if (px < LEFT - 8 || n < 0 || n >= this.lanes.length) return null;
    const code = this.lanes[n].code;
    const symbol = this.nearestMark(px, code, true);
    const tick = this.nearestTick(px, py, code);
    const best = [symbol, tick].filter(Boolean).sort((p, q) => p.distance - q.distance)[0];
    return best ?? this.nearestMark(px, code, false);
  }

  nearestMark(px, code, small) {
    let best = null;
    const { row, word } = this.store.marks.columns;
    this.eachMark((m, lane, shape) => {
      const wide = shape === LIFE || shape === ATTEMPT || shape === BAR || shape === SEGMENT || shape === UNDERLINE;
      if (lane !== code || wide === small || !this.markPasses(m)) return;
      const a = this.x(this.markX0(m, lane)), b = small ? a : this.x(this.markX1(m, lane));
      const distance = px < a ? a - px : px > b ? px - b : 0;
      // A life lies under everything else: it is meant only where nothing else is.
      const weight = distance + (shape === LIFE ? 4 : shape === DOT ? 0.5 : 0);
      if (distance <= 7 && (!best || weight <= best.distance)) {
        best = { distance: weight, row: row[m], word: word[m], at: this.store.marks.columns.x0[m], size: -1 };
      }
    });
    return best;
  }

  nearestTick(px, py, code) {
    const { x, lane, row, word, size, up } = this.store.ticks.columns;
    const [begin, end] = this.tickRange();
    const passes = this.tickFilter();
    const side = py < this.y(code) ? 1 : -1;
    const near = [this.seconds(px - 6), this.seconds(px + 6)];
    let from = begin;
    if (this.store.sorted && !this.aligned && end > begin) from = Math.max(begin, lowest(x, end, near[0]));
    let best = null;
    for (let i = from; i < end; i++) {
      const at = x[i] - this.origin[lane[i]];
      if (at > near[1] && this.store.sorted && !this.aligned) break;
      if (lane[i] !== code || at < near[0] || at > near[1] || (passes && !passes(i))) continue;
      const distance = Math.abs(this.x(at) - px) + (up[i] === side ? 0 : 2);
      if (!best || distance < best.distance) best = { distance, row: row[i], word: word[i], at: x[i], size: size[i] };
    }
    return best;
  }

  lineOf(found) {
    const words = this.store.words[found.word] ?? "";
    return `${this.timeOf(found.at)}  ${words}${found.size >= 0 ? `, ${found.size.toLocaleString("en")} B` : ""}`;
  }

  timeOf(at) {
    if (!this.host.option("clock")) return `${at.toFixed(3)} s`;
    return clockFormat(this.host.option("zone"), { fractionalSecondDigits: 3 }).format((this.store.epoch + at) * 1000);
  }

  hover(found, px, py) {
    if (found && this.hovered?.row === found.row) return this.placeTip(px, py);
    this.hovered = found;
    this.tip.hidden = !found;
    if (!found) return;
    this.tip.textContent = this.lineOf(found);
    this.placeTip(px, py);
    // A frame's own words come from the kernel, when it has time; until then its kind and size stand there.
    clearTimeout(this.asking);
    if (found.size >= 0) this.asking = setTimeout(() => this.host.ask("hover", found.row), 60);
  }

  placeTip(px, py) {
    const room = this.width - this.tip.offsetWidth - 4;
    this.tip.style.left = `${Math.max(0, Math.min(px + 12, room))}px`;
    const below = py + 16;
    this.tip.style.top = `${below + 28 > this.height ? py - 34 : below}px`;
  }

  // -- the pointer and the keyboard

  point(event) {
    const box = this.stage.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  free(view) {
    const [first, last] = this.extent;
    const whole = last - first;
    let span = Math.max(LEAST_SPAN, Math.min(view[1] - view[0], whole * 1.5 + 1e-3));
    let begin = Math.max(first - span * 0.9, Math.min(view[0], last - span * 0.1));
    this.setMode("free");
    this.view = [begin, begin + span];
    this.schedule();
  }

  zoom(factor, px) {
    const at = this.seconds(Math.max(LEFT, px));
    const [a, b] = this.view;
    if (this.mode === "follow" && this.store.live) {
      this.span = Math.max(LEAST_SPAN * 100, (b - a) * factor);
      return this.schedule();
    }
    this.free([at - (at - a) * factor, at + (b - at) * factor]);
  }

  pan(seconds) {
    this.free([this.view[0] + seconds, this.view[1] + seconds]);
  }

  all() {
    this.setMode("all");
    this.refresh();
  }

  follow() {
    if (this.mode === "follow") this.setMode("free");
    else this.setMode("follow", Math.min(this.view[1] - this.view[0], FOLLOW_SPAN));
    this.schedule();
  }

  toggle(name) {
    const value = this.host.option(name);
    this.host.setOption(name, name === "align" ? (value === "open" ? "" : "open") : !value);
    if (name === "align") this.mode = "all";
    this.refresh();
  }

  wheel(event) {
    event.preventDefault();
    const [px] = this.point(event);
    const step = event.deltaMode === 1 ? 30 : 1;
    const sideways = event.shiftKey ? event.deltaY : event.deltaX;
    if (Math.abs(sideways) > Math.abs(event.shiftKey ? 0 : event.deltaY)) {
      return this.pan(((sideways * step) / this.width) * (this.view[1] - this.view[0]));
    }
    this.zoom(Math.exp(Math.max(-1, Math.min(1, event.deltaY * step * 0.002))), px);
  }

  press(event) {
    if (event.button !== 0) return;
    const [px, py] = this.point(event);
    this.stage.setPointerCapture(event.pointerId);
    const inside = py < LANES_TOP - 4;
    this.drag = { px, py, view: [...this.view], over: inside, moved: false };
    if (inside) this.drag.inside = this.inBrush(px);
  }

  overSeconds(px) {
    const [first, last] = this.extent;
    return first + ((px - LEFT) / (this.width - LEFT - RIGHT)) * (last - first);
  }

  inBrush(px) {
    const at = this.overSeconds(px), whole = this.extent[1] - this.extent[0];
    return at > this.view[0] && at < this.view[1] && this.view[1] - this.view[0] < whole * 0.98;
  }

  move(event) {
    const [px, py] = this.point(event);
    if (!this.drag) return this.hoverSoon(px, py);
    if (Math.abs(px - this.drag.px) > 3) this.drag.moved = true;
    if (!this.drag.moved) return;
    this.stage.dataset.drag = "pan";
    this.hover(null);
    if (this.drag.over) return this.brush(px);
    const [a, b] = this.drag.view;
    const shift = ((this.drag.px - px) / (this.width - LEFT - RIGHT)) * (b - a);
    this.free([a + shift, b + shift]);
  }

  hoverSoon(px, py) {
    this.pointer = [px, py];
    if (this.looking) return;
    this.looking = requestAnimationFrame(() => {
      this.looking = 0;
      if (!this.closed && !this.drag) this.hover(this.hit(...this.pointer), ...this.pointer);
    });
  }

  brush(px) {
    const { drag } = this;
    if (drag.inside) {
      const shift = this.overSeconds(px) - this.overSeconds(drag.px);
      return this.free([drag.view[0] + shift, drag.view[1] + shift]);
    }
    const ends = [this.overSeconds(drag.px), this.overSeconds(px)].sort((p, q) => p - q);
    this.free(ends);
  }

  release(event) {
    const { drag } = this;
    this.drag = null;
    delete this.stage.dataset.drag;
    if (!drag || drag.moved) return;
    const [px, py] = this.point(event);
    const found = this.hit(px, py);
    if (found) this.choose(found, event.shiftKey || event.ctrlKey || event.metaKey);
  }

  choose(found, more) {
    this.chosen = found.row;
    const rows = this.host.rows();
    const kept = rows.includes(found.row) ? rows.filter((row) => row !== found.row) : [...rows, found.row];
    this.host.select(more ? kept : [found.row]);
    this.host.ask("detail", found.row);
    this.told = -1;
    setTimeout(() => this.told < 0 && !this.closed && this.showDetail({ line: this.lineOf(found), fields: WAITING }), 400);
    this.schedule();
  }

  key(event) {
    const span = this.view[1] - this.view[0];
    const middle = LEFT + (this.width - LEFT - RIGHT) / 2;
    const acts = {
      ArrowLeft: () => this.pan(-span / 10),
      ArrowRight: () => this.pan(span / 10),
      "+": () => this.zoom(0.7, middle),
      "=": () => this.zoom(0.7, middle),
      "-": () => this.zoom(1 / 0.7, middle),
      Home: () => this.all(),
      End: () => this.follow(),
      Enter: () => (this.stepping ? this.choose(this.stepping, false) : this.step(1)),
      Escape: () => this.stopStepping(),
    };
    // Tab steps only between Enter and Escape, so that the keyboard is never caught here.
    if (event.key === "Tab" && this.stepping) acts.Tab = () => this.step(event.shiftKey ? -1 : 1);
    if (!acts[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    if (acts[event.key]() === false) return;
    event.preventDefault();
    event.stopPropagation();
  }

  stopStepping() {
    if (!this.stepping) return false;
    this.stepping = null;
    this.chosen = -1;
    this.hover(null);
    this.schedule();
  }

  step(way) {
    const found = this.neighbour(this.stepping ? this.stepping.row : -1, way);
    if (!found) return this.stopStepping();
    this.stepping = found;
    this.chosen = found.row;
    const x = this.x(found.shown);
    if (x < LEFT || x > this.width - RIGHT) {
      const span = this.view[1] - this.view[0];
      this.free([found.shown - span / 2, found.shown + span / 2]);
    }
    this.hovered = null;
    this.hover(found, Math.max(LEFT, this.x(found.shown)), this.y(found.lane));
    this.spoken.textContent = this.lineOf(found);
    this.schedule();
  }

  // The event next to a row; the first one in view when there is none yet.
  neighbour(row, way) {
    let best = null;
    const from = row < 0 ? this.view[0] : -Infinity;
    const offer = (candidate) => {
      const further = way > 0 ? candidate.row > row : candidate.row < row;
      const nearer = !best || (way > 0 ? candidate.row < best.row : candidate.row > best.row);
      if (further && nearer && candidate.shown >= from) best = candidate;
    };
    const { marks, ticks, labels } = this.store;
    this.eachMark((m, lane, shape) => {
      if (!this.markPasses(m) || shape === LIFE || shape === CAP) return;
      const { row: rows, word, x0 } = marks.columns;
      offer({ row: rows[m], word: word[m], at: x0[m], size: -1, lane, shown: this.markX0(m, lane), label: labels.get(m) });
    });
    const passes = this.tickFilter();
    const { columns } = ticks;
    for (let i = 0; i < ticks.length; i++) {
      const lane = columns.lane[i];
      if (this.order[lane] < 0 || (passes && !passes(i))) continue;
      const shown = columns.x[i] - this.origin[lane];
      offer({ row: columns.row[i], word: columns.word[i], at: columns.x[i], size: columns.size[i], lane, shown });
    }
    return best;
  }

  // -- texts around the canvas

  showTitle() {
    const { store } = this;
    const zone = this.host.option("zone");
    const format = clockFormat(zone);
    const begin = new Date((store.epoch + store.first) * 1000), end = new Date((store.epoch + store.last) * 1000);
    const connections = store.lanes.filter((lane) => lane.kind === "connection").length;
    const times = `${format.format(begin)}–${format.format(end)} ${zoneName(zone, end)}`;
    this.title.textContent = `${plural(connections, "connection")}, ${plural(store.events, "event")}, ${times}`;
    this.alignButton.setAttribute("aria-pressed", String(this.aligned));
    this.clockButton.setAttribute("aria-pressed", String(Boolean(this.host.option("clock"))));
    this.followButton.hidden = !store.live;
  }

  setFilter(text) {
    try {
      this.filter = filterOf(text);
      this.field.setAttribute("aria-invalid", "false");
    } catch {
      this.field.setAttribute("aria-invalid", "true");
    }
    this.schedule();
  }

  answer(message) {
    if (message.kind === "detail") {
      this.told = message.row;
      if (message.row === this.chosen) this.showDetail(message);
    }
    if (message.kind === "refused") this.showDetail({ line: "The kernel did not answer", fields: [["because", message.because]] });
    if (message.kind === "hover" && this.hovered?.row === message.row) {
      this.tip.textContent = `${this.timeOf(this.hovered.at)}  ${message.line}`;
      this.placeTip(...(this.pointer ?? [LEFT, LANES_TOP]));
    }
  }

  showDetail(message) {
    const { detail } = this;
    detail.replaceChildren();
    const head = element("div", "ck-detail-head", detail);
    element("span", "ck-detail-line", head, message.line);
    button(head, "Close", null, () => (detail.hidden = true));
    const list = element("dl", "ck-fields", detail);
    for (const [name, value] of message.fields) {
      element("dt", "", list, name);
      element("dd", "", list, value);
    }
    if (message.payload !== null && message.payload !== undefined) element("pre", "ck-payload", detail, message.payload);
    detail.hidden = false;
    this.spoken.textContent = message.line;
  }

  reveal(rows) {
    const { marks, ticks } = this.store;
    const wanted = new Set(rows);
    const times = [];
    this.eachMark((m, lane) => wanted.has(marks.columns.row[m]) && times.push(this.markX0(m, lane)));
    for (let i = 0; i < ticks.length; i++) {
      if (wanted.has(ticks.columns.row[i])) times.push(ticks.columns.x[i] - this.origin[ticks.columns.lane[i]]);
    }
    const begin = Math.min(...times), end = Math.max(...times);
    const [a, b] = this.view;
    if (times.length && (begin < a || end > b)) {
      const span = Math.max(b - a, (end - begin) * 1.2);
      this.free([(begin + end - span) / 2, (begin + end + span) / 2]);
    }
    this.schedule();
  }
}

function occupy(row, begin, end) {
  const last = row[row.length - 1];
  if (last && begin >= last[0] && begin <= last[1]) last[1] = Math.max(last[1], end);
  else row.push([begin, end]);
}

function free(row, begin, end) {
  return row.every(([a, b]) => end <= a || begin >= b);
}

// ---------------------------------------------------------------- between kernel and page

// One per widget model and page: holds the store, speaks with the kernel, feeds all views of the widget.
class Link {
  constructor(model) {
    this.model = model;
    this.store = new Store();
    this.views = new Set();
    this.client = globalThis.crypto?.randomUUID?.() ?? String(Math.random());
    this.greeted = false;
    const block = model.get("block");
    if (block?.byteLength) this.store.apply(block);
    model.on("msg:custom", (message, buffers) => this.receive(message, buffers));
    model.on("change:rows", () => this.views.forEach((view) => view.reveal(model.get("rows"))));
    for (const name of ["align", "clock", "zone"]) {
      model.on(`change:${name}`, () => this.views.forEach((view) => view.refresh()));
    }
  }
  say(kind, more = {}) {
    this.model.send({ kind, client: this.client, ...more });
  }
  add(view) {
    this.views.add(view);
    // Every new view makes sure that the page holds all there is.
    this.say("hello", { held: this.store.held });
  }
  remove(view) {
    view.close();
    this.views.delete(view);
    try {
      if (!this.views.size) this.say("bye");
    } catch {
      // The kernel went away before its view did: nobody is left to hear it.
    }
  }
  receive(message, buffers) {
    const mine = message.to === this.client;
    if (message.kind === "delta" && (mine || (message.to === "*" && !this.greeted))) this.take(buffers[0], mine);
    else if (mine) this.views.forEach((view) => view.answer(message));
  }
  take(block, mine) {
    this.greeted ||= mine;
    // A hole can only be filled by asking: what is held goes to the kernel, which sends from there.
    if (!this.store.apply(block)) return this.say("hello", { held: this.store.held });
    const { held } = this.store;
    const done = () => this.say("painted", { held });
    const [view] = this.views;
    if (view) view.painted(done);
    else done();
  }
  host() {
    const { model } = this;
    return {
      ask: (kind, row) => this.say(kind, { row }),
      rows: () => model.get("rows") ?? [],
      option: (name) => model.get(name),
      select: (rows) => this.set("rows", rows),
      setOption: (name, value) => this.set(name, value),
    };
  }
  set(name, value) {
    this.model.set(name, value);
    this.model.save_changes();
  }
}

export default () => {
  let link = null;
  return {
    initialize({ model }) {
      link = new Link(model);
    },
    render({ model, el }) {
      link ??= new Link(model);
      const root = element("div", "", el);
      const view = new Timeline(root, link.store, link.host());
      link.add(view);
      return () => link.remove(view);
    },
  };
};
