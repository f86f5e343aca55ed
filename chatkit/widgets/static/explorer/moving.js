// The pointer and the keyboard.
import { Picking } from "./picking.js";
import { AXIS, FOLLOW_SPAN, LANES_TOP, LEAST_SPAN, LEFT, MOST_LANES, RIGHT } from "./shapes.js";

export class Moving extends Picking {
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
    if (this.hiddenLanes && px < LEFT - 8) {
      this.rolled += (event.deltaY * step) / Math.max(this.pitch, 12);
      const lanes = Math.trunc(this.rolled);
      this.rolled -= lanes;
      return lanes ? this.scrollLanes(lanes) : undefined;
    }
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
    if (this.onScrollbar(px, py)) {
      const { begin, end } = this.thumb();
      if (py < begin || py > end) this.scrollLanes(((py < begin ? -1 : 1) * MOST_LANES) / 2);
      this.drag = { py, top: this.top, lanes: true };
      return;
    }
    const inside = py < LANES_TOP - 4;
    this.drag = { px, py, view: [...this.view], over: inside, moved: false, selects: event.shiftKey && !inside };
    if (inside) this.drag.inside = this.inBrush(px);
  }

  onScrollbar(px, py) {
    return this.hiddenLanes > 0 && px > this.width - RIGHT + 4 && py >= LANES_TOP && py <= this.height - AXIS;
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
    if (this.drag.lanes) {
      const share = (py - this.drag.py) / (this.height - AXIS - LANES_TOP);
      return this.scrollLanes(Math.round(this.drag.top + share * this.scrolledLanes) - this.top);
    }
    if (Math.abs(px - this.drag.px) > 3) this.drag.moved = true;
    if (!this.drag.moved) return;
    this.stage.dataset.drag = this.drag.selects ? "select" : "pan";
    this.hover(null);
    if (this.drag.selects) {
      this.drag.area = this.areaOf(this.drag.px, this.drag.py, px, py);
      return this.schedule();
    }
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
    if (drag?.area) return this.selectArea(drag.area);
    if (!drag || drag.moved || drag.lanes) return;
    const [px, py] = this.point(event);
    const named = this.lanes[Math.floor((py - LANES_TOP) / this.pitch)];
    if (px < LEFT - 12 && py > LANES_TOP && named) return this.pin(named.code);
    const found = this.hit(px, py);
    if (found) this.choose(found, event.shiftKey || event.ctrlKey || event.metaKey);
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
      Escape: () => (this.area ? this.selectArea(null) : this.stopStepping()),
      ArrowUp: () => (this.hiddenLanes ? this.scrollLanes(-1) : false),
      ArrowDown: () => (this.hiddenLanes ? this.scrollLanes(1) : false),
      PageUp: () => (this.hiddenLanes ? this.scrollLanes(-MOST_LANES / 2) : false),
      PageDown: () => (this.hiddenLanes ? this.scrollLanes(MOST_LANES / 2) : false),
      "/": () => this.search.field.focus(),
      n: () => this.search.step(1),
      N: () => this.search.step(-1),
      s: () => this.selectView(),
      a: () => (this.host.say ? this.startNote() : false),
      r: () => this.setReference(this.chosen),
      p: () => (this.chosen >= 0 && this.place(this.chosen) ? this.pin(this.place(this.chosen).lane) : false),
    };
    // Tab steps only between Enter and Escape, so that the keyboard is never caught here.
    if (event.key === "Tab" && this.stepping) acts.Tab = () => this.step(event.shiftKey ? -1 : 1);
    if (!acts[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    if (acts[event.key]() === false) return;
    event.preventDefault();
    event.stopPropagation();
  }

  setReference(row) {
    if (row < 0) return false;
    this.host.setOption("reference", this.host.option("reference") === row ? -1 : row);
    this.host.ask("detail", row);
    this.schedule();
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
}
