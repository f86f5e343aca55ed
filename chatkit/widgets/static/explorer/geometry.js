// Lanes, extent, view, and which events are in it.
import { AXIS, FOLLOW_SPAN, LANES_TOP, LEFT, LIFE, MOST_LANES, PITCH, RIGHT, ROOM } from "./shapes.js";
import { lowest } from "./store.js";

export class Geometry {
  get aligned() {
    return this.host.option("align") === "open";
  }

  refresh() {
    if (this.closed) return;
    const { store } = this;
    this.lanes = this.visibleLanes();
    const top = store.lanes.reduce((most, lane) => Math.max(most, lane.code), 0);
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
    this.tools.refresh();
    this.search.grown();
    this.schedule();
  }

  get pinned() {
    return this.host.option("pinned") ?? [];
  }

  get area() {
    const area = this.host.option("area");
    return area?.lanes ? area : null;
  }

  // Pinned lanes first; of more lanes than there is room for, a window that wheel, scroll bar and keys move.
  visibleLanes() {
    const all = this.store.lanes.filter((lane) => !this.aligned || lane.kind === "connection");
    const pinned = new Set(this.pinned);
    const on = all.filter((lane) => pinned.has(lane.code)), off = all.filter((lane) => !pinned.has(lane.code));
    this.fixed = Math.min(on.length, MOST_LANES / 2);
    const room = MOST_LANES - this.fixed;
    this.hiddenLanes = Math.max(0, off.length - room);
    this.top = Math.max(0, Math.min(this.top, this.hiddenLanes));
    return [...on.slice(0, this.fixed), ...off.slice(this.top, this.top + room)];
  }

  // Lanes that move: all but the pinned ones.
  get scrolledLanes() {
    return this.hiddenLanes + this.lanes.length - this.fixed;
  }

  // Where the scroll bar beside the lanes shows the window, pixels from the top.
  thumb() {
    const high = this.height - AXIS - LANES_TOP;
    const begin = LANES_TOP + (this.top / this.scrolledLanes) * high;
    return { begin, end: begin + Math.max(16, ((this.scrolledLanes - this.hiddenLanes) / this.scrolledLanes) * high) };
  }

  scrollLanes(by) {
    const before = this.top;
    this.top += by;
    this.refresh();
    if (this.top !== before) this.overview = null;
  }

  pin(code) {
    const { pinned } = this;
    const kept = pinned.filter((one) => one !== code);
    this.host.setOption("pinned", kept.length < pinned.length ? kept : [...pinned, code]);
    this.refresh();
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
    const { shape, row } = this.store.marks.columns;
    return shape[m] === LIFE || this.search.passes(row[m]);
  }

  tickFilter() {
    const { search, store } = this;
    if (!search.active) return null;
    const { row } = store.ticks.columns, { bits } = search;
    return (i) => ((bits[row[i] >> 3] ?? 0) >> (row[i] & 7)) & 1;
  }
}
