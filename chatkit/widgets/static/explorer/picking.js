// Which event is meant: under the pointer, next to another one, or named by row.
import { clockFormat } from "./format.js";
import { Labels } from "./labels.js";
import { ATTEMPT, BAR, CAP, DOT, LANES_TOP, LEFT, LIFE, SEGMENT, UNDERLINE, WAITING } from "./shapes.js";
import { lowest } from "./store.js";

export class Picking extends Labels {
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
