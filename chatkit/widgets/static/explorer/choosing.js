// What is chosen: an area, an event to go to, a place for a note.
import { Moving } from "./moving.js";
import { AXIS, LANES_TOP, LEFT, MOST_ROWS } from "./shapes.js";
import { lowest } from "./store.js";

export class Choosing extends Moving {
  // The stretch that is selected, or being drawn.
  drawSelected() {
    const area = this.drag?.area ?? this.area;
    if (!area || Boolean(area.aligned) !== this.aligned) return;
    const { context, colours } = this;
    const a = this.x(area.since), b = this.x(area.until);
    context.fillStyle = context.strokeStyle = colours.received;
    context.lineWidth = 1;
    for (const lane of area.lanes) {
      if (!(this.order[lane] >= 0)) continue;
      context.globalAlpha = 0.13;
      context.fillRect(a, this.y(lane) - this.pitch / 2, Math.max(1, b - a), this.pitch);
    }
    context.globalAlpha = 0.8;
    for (const x of [a, b]) {
      context.beginPath();
      context.moveTo(x, LANES_TOP);
      context.lineTo(x, this.height - AXIS);
      context.stroke();
    }
    context.globalAlpha = 1;
  }

  areaOf(px, py, qx, qy) {
    const lane = (y) => Math.max(0, Math.min(this.lanes.length - 1, Math.floor((y - LANES_TOP) / this.pitch)));
    const [since, until] = [this.seconds(Math.max(LEFT, px)), this.seconds(Math.max(LEFT, qx))].sort((p, q) => p - q);
    const [top, bottom] = [lane(py), lane(qy)].sort((p, q) => p - q);
    const lanes = this.lanes.slice(top, bottom + 1).map((one) => one.code);
    return { since, until, lanes, aligned: this.aligned };
  }

  selectView() {
    const [since, until] = this.view;
    this.selectArea({ since, until, lanes: this.lanes.map((lane) => lane.code), aligned: this.aligned });
  }

  selectArea(area) {
    if (!area || !this.host.say) this.host.select(area ? this.rowsIn(area) : []);
    this.host.setOption("area", area ?? {});
    this.table.refresh();
    this.schedule();
  }

  // Where no kernel is asked: the first rows of an area.
  rowsIn({ since, until, lanes }) {
    const wanted = new Set(lanes), found = new Set();
    const look = ({ length, columns }, at) => {
      for (let i = 0; i < length && found.size < MOST_ROWS; i++) {
        const x = at[i] - (this.origin[columns.lane[i]] ?? 0);
        if (wanted.has(columns.lane[i]) && x >= since && x <= until && this.search.passes(columns.row[i])) found.add(columns.row[i]);
      }
    };
    look(this.store.ticks, this.store.ticks.columns.x ?? []);
    look(this.store.marks, this.store.marks.columns.x0 ?? []);
    return [...found].sort((p, q) => p - q);
  }

  startNote() {
    const chosen = this.chosen >= 0 ? this.place(this.chosen) : null;
    const at = chosen?.at ?? (this.view[0] + this.view[1]) / 2;
    this.notes.open({ at, lane: chosen?.lane ?? null, row: chosen ? this.chosen : null });
  }

  // Where a row stands; its lane's other marks are later ones of the same event.
  place(wanted) {
    const { ticks, marks } = this.store;
    const { row, x, lane, word, size } = ticks.columns;
    const i = lowest(row ?? [], ticks.length, wanted);
    if (i < ticks.length && row[i] === wanted) return { row: wanted, at: x[i], lane: lane[i], word: word[i], size: size[i] };
    for (let m = 0; m < marks.length; m++) {
      const { row: rows, x0, lane: lanes, word: words } = marks.columns;
      if (rows[m] === wanted) return { row: wanted, at: x0[m], lane: lanes[m], word: words[m], size: -1 };
    }
    return null;
  }

  // Chooses an event and brings it into view.
  goTo(row) {
    const found = this.place(row);
    if (!found) return this.host.ask("detail", (this.chosen = row));
    if (!(this.order[found.lane] >= 0)) {
      const off = this.store.lanes.filter((lane) => !this.pinned.includes(lane.code) && (!this.aligned || lane.kind === "connection"));
      this.top = Math.max(0, off.findIndex((lane) => lane.code === found.lane) - 5);
      this.overview = null;
      this.refresh();
    }
    const shown = found.at - (this.origin[found.lane] ?? 0);
    const [a, b] = this.view;
    if (shown < a || shown > b) this.free([shown - (b - a) / 2, shown + (b - a) / 2]);
    this.choose(found, false);
    this.spoken.textContent = this.lineOf(found);
  }
}
