// Words beside the marks: what matters most first, and never one over another.
import { Drawing } from "./drawing.js";
import { ARC, AREA, ATTEMPT, BAR, CROSS, END, LEFT, LIFE, ONE_LINE, RANK, RIGHT, SEGMENT, SOLID, TWO_LINES, UNDERLINE } from "./shapes.js";

export class Labels extends Drawing {
  drawWords() {
    if (this.pitch < ONE_LINE) return;
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

  // Right of its mark if it fits, an ending in its strong words alone before the whole would cover its life.
  drawLabel(item, taken) {
    const [strong, dim] = item.label;
    // Words do not shrink with the lanes: of close ones only the first line has any.
    const below = this.pitch < TWO_LINES ? "" : item.label[2];
    item = { ...item, label: [strong, dim, below] };
    const brief = strong && dim ? { ...item, label: [strong, "", below] } : item;
    for (const before of [false, true]) {
      if (this.fitLabel(item, taken, before)) return;
      if (brief !== item && this.fitLabel(brief, taken, before)) return;
    }
  }

  // Whether there was room for it.
  fitLabel({ m, lane, shape, a, b, label }, taken, before) {
    const [strong, dim, below] = label;
    const stream = shape === BAR && this.laneKind(lane) === "streaming";
    const low = shape === UNDERLINE || shape === ARC || stream;
    const two = this.pitch >= TWO_LINES;
    if (low && !two) return false;
    const size = low ? 10 : 11;
    const first = strong ? this.measure(strong, size, 600) + 8 : 0;
    const room = Math.max(first + this.measure(dim, size, 400), below ? this.measure(below, 10, 400) : 0);
    const inside = shape === SEGMENT;
    const from = inside || low ? Math.max(a, LEFT) : b;
    if (inside && Math.min(b, this.width - RIGHT) - from < room + 10) return false;
    if ((shape === UNDERLINE || stream) && b < LEFT) return false;
    const gap = stream ? 1 : { [ARC]: 14, [UNDERLINE]: 2, [SEGMENT]: 5, [BAR]: 6, [END]: 6, [AREA]: 14 }[shape] ?? 10;
    const under = this.rowOf(taken, lane, true);
    // To the left of a short life, not upon it; upon a long one there is room.
    const ending = shape === CROSS || shape === END;
    const born = ending ? this.born.get(lane) ?? a : a;
    const left = a - born < 80 ? Math.min(a, born) : a;
    // An ending's words stand below the line rather than nowhere.
    for (const down of ending && two ? [false, true] : [low]) {
      const row = this.rowOf(taken, lane, down), more = down ? "" : below;
      const x = before ? left - gap - room : from + gap;
      const end = x + room;
      if (x < LEFT || end > this.width || (from < LEFT && !inside)) continue;
      if (!free(row, x, end) || (more && !free(under, x, end))) continue;
      row.push([x, end + 6]);
      if (more) under.push([x, x + this.measure(more, 10, 400) + 6]);
      const words = [strong, dim, more];
      this.writeLabel(words, x, this.y(lane), down, size, first, this.store.marks.columns.tone[m], x < from);
      return true;
    }
    return false;
  }

  writeLabel([strong, dim, below], x, y, low, size, first, tone, over) {
    const { context, colours } = this;
    const line = low ? y + 18 * this.scale : y;
    if (over && !low) {
      context.fillStyle = colours.ground;
      context.globalAlpha = 0.92;
      context.fillRect(x - 3, line - 8, first + this.measure(dim, size, 400) + 6, 16);
      context.globalAlpha = 1;
    }
    if (strong) this.text(strong, x, line, this.tones[tone], size, 600);
    this.text(dim, x + first, line, colours.dim, size);
    if (below) this.text(below, x, y + 13, colours.dim, 10);
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
