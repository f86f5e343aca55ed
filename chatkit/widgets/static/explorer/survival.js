// How long connections live, on the axis of the lanes.
import { element } from "./dom.js";
import { LEFT, RIGHT } from "./shapes.js";

const SURVIVAL_HIGH = 92;

export class SurvivalPanel {
  constructor(timeline, parent) {
    this.timeline = timeline;
    this.curves = null;
    this.events = -1;
    this.box = element("div", "ck-survival", parent);
    this.box.hidden = true;
    this.canvas = element("canvas", "", this.box);
    this.canvas.setAttribute("role", "img");
  }

  draw() {
    const { timeline, canvas } = this;
    const wanted = timeline.aligned && Boolean(timeline.host.say);
    if (!wanted) {
      this.box.hidden = true;
      return;
    }
    const { events } = timeline.store;
    // Asked anew when there is more to know, at most every other second.
    if (this.events !== events && performance.now() - (this.asked ?? -1e9) > 2000) {
      this.events = events;
      this.asked = performance.now();
      timeline.host.say("survival");
    }
    if (!this.curves?.length) return;
    this.box.hidden = false;
    const ratio = timeline.ratio;
    canvas.width = Math.round(timeline.width * ratio);
    canvas.height = Math.round(SURVIVAL_HIGH * ratio);
    Object.assign(canvas.style, { width: `${timeline.width}px`, height: `${SURVIVAL_HIGH}px` });
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.paint(context);
  }

  paint(context) {
    const { timeline } = this;
    const y = (share) => 12 + (1 - share) * (SURVIVAL_HIGH - 22);
    context.font = `400 11px ${timeline.family}`;
    context.textBaseline = "middle";
    context.fillStyle = timeline.colours.dim;
    context.fillText("still alive", 0, y(0.5));
    context.textAlign = "right";
    for (const share of [0, 0.5, 1]) {
      context.fillText(`${share * 100} %`, LEFT - 8, y(share));
      context.strokeStyle = timeline.colours.grid;
      context.strokeRect(LEFT, Math.round(y(share)) + 0.5, timeline.width - LEFT - RIGHT, 0);
    }
    context.textAlign = "left";
    context.save();
    context.beginPath();
    context.rect(LEFT, 0, timeline.width - LEFT - RIGHT, SURVIVAL_HIGH);
    context.clip();
    this.curves.forEach((curve, n) => this.curve(context, curve, timeline.tones[[0, 1, 2, 5, 3, 4][n % 6]], y));
    context.restore();
  }

  curve(context, { time, survival, low, high, last, n, median }, colour, y) {
    const { timeline } = this;
    const along = (values, act) => {
      values.forEach((value, i) => {
        act(timeline.x(time[i]), y(value));
        act(timeline.x(time[i + 1] ?? last), y(value));
      });
    };
    context.beginPath();
    const back = [];
    along(high, (x, at) => context.lineTo(x, at));
    along(low, (x, at) => back.unshift([x, at]));
    for (const [x, at] of back) context.lineTo(x, at);
    context.globalAlpha = 0.14;
    context.fillStyle = context.strokeStyle = colour;
    context.fill();
    context.globalAlpha = 1;
    context.lineWidth = 1.6;
    context.beginPath();
    along(survival, (x, at) => context.lineTo(x, at));
    context.stroke();
    const half = median === null ? `${(survival.at(-1) * 100).toFixed(0)} % lived on` : `half gone at ${Number(median.toPrecision(3))} s`;
    const words = `${n.toLocaleString("en")} lives, ${half}`;
    const wide = context.measureText(words).width;
    const x = Math.max(LEFT + 4, Math.min(timeline.x(last) + 6, timeline.width - RIGHT - wide - 4));
    context.fillStyle = timeline.colours.dim;
    context.fillText(words, x, Math.max(8, y(survival.at(-1)) - 9));
  }

  answer({ curves }) {
    this.curves = curves;
    const told = curves.map((one) => `${one.n} lives, ${one.median === null ? "more than half lived on" : `half gone at ${one.median.toPrecision(3)} s`}`);
    this.canvas.setAttribute("aria-label", `Share of connections still alive by the time since they opened: ${told.join("; ")}`);
    this.timeline.schedule();
  }
}
