// Everything on the canvas but the words.
import { clockFormat, niceStep } from "./format.js";
import { Geometry } from "./geometry.js";
import {
  ARC, AREA, ATTEMPT, AXIS, BAR, CAP, CROSS, DENSITIES, DIAMOND, DOT, END, LANES_TOP, LEFT, LIFE, OPEN,
  OVER_HIGH, OVER_TOP, PING, POINT, RIGHT, SEGMENT, SINGLE, STOREY, UNDERLINE,
} from "./shapes.js";
import { lowest } from "./store.js";

export class Drawing extends Geometry {
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
      this.drawSelected();
    });
    this.drawWords();
    this.drawScrollbar();
    this.survival.draw();
    // What the picture shows now, for whoever measures or reads it from outside.
    Object.assign(this.stage.dataset, { events: this.store.events, until: this.store.epoch + this.store.last });
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
      const title = n < this.fixed ? `▴ ${lane.title}` : lane.title;
      this.text(this.fitted(title, LEFT - 10), 0, y - this.pitch / 2, strong ? colours.ink : colours.dim, 11, strong ? 600 : 400);
    });
    context.stroke();
  }

  drawScrollbar() {
    if (!this.hiddenLanes) return;
    const { context, colours } = this;
    const { begin, end } = this.thumb();
    context.fillStyle = colours.grid;
    context.fillRect(this.width - 12, LANES_TOP, 8, this.height - AXIS - LANES_TOP);
    context.fillStyle = colours.dim;
    context.fillRect(this.width - 12, begin, 8, end - begin);
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

  // Ticks that fall into one device pixel of a lane are counted there: painting costs pixels, not frames.
  drawTicks() {
    const { context, store, ratio } = this;
    const { x, lane, up } = store.ticks.columns;
    const [begin, end] = this.tickRange();
    if (begin >= end) return;
    const wide = Math.ceil((this.width - LEFT + 8) * ratio);
    const seen = new Uint32Array(this.lanes.length * 2 * wide);
    const passes = this.tickFilter();
    const factor = ((this.width - LEFT - RIGHT) / (this.view[1] - this.view[0])) * ratio;
    const start = this.view[0];
    for (let i = begin; i < end; i++) {
      const n = this.order[lane[i]];
      if (n < 0 || (passes && !passes(i))) continue;
      const column = Math.floor((x[i] - this.origin[lane[i]] - start) * factor);
      if (column >= -2 && column < wide - 2) seen[(n * 2 + (up[i] > 0 ? 1 : 0)) * wide + column + 2] += 1;
    }
    let most = 1;
    for (let c = 0; c < seen.length; c++) if (seen[c] > most) most = seen[c];
    for (const side of [0, 1]) this.fillTicks(seen, wide, side, most);
  }

  // One tick is as high as ever; where several fall into a pixel, height and colour tell how many, by the logarithm.
  fillTicks(seen, wide, side, most) {
    const { context, ratio } = this;
    const single = most <= SINGLE;
    const thick = single ? Math.max(1, Math.round(1.5 * ratio)) / ratio : 1 / ratio;
    const full = single ? 8 : 11;
    const levels = single ? 1 : DENSITIES;
    const paths = Array.from({ length: levels }, () => new Path2D());
    const step = levels / (Math.log(most) + 1);
    for (let n = 0; n < this.lanes.length; n++) {
      const middle = LANES_TOP + (n + 0.5) * this.pitch;
      const row = (n * 2 + side) * wide;
      for (let c = 0; c < wide; c++) {
        const count = seen[row + c];
        if (!count) continue;
        const level = single ? 0 : Math.min(levels - 1, Math.floor((Math.log(count) + 0.999) * step));
        let end = c + 1;
        // Neighbours alike are one rectangle: a dense lane costs its changes.
        if (!single) while (end < wide && seen[row + end] === count) end++;
        const high = Math.max(1, (single ? full : full * (0.3 + (0.7 * (level + 1)) / levels)) * this.scale);
        const broad = single ? thick : (end - c) / ratio;
        paths[level].rect(LEFT + (c - 2) / ratio - (single ? thick / 2 : 0), side ? middle - high : middle, broad, high);
        c = end - 1;
      }
    }
    context.fillStyle = this.tones[side ? 0 : 1];
    paths.forEach((path, level) => {
      context.globalAlpha = single ? 0.9 : 0.3 + (0.65 * (level + 1)) / levels;
      context.fill(path);
    });
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
}
