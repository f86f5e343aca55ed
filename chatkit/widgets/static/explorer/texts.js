// Words around the canvas: title, answers of the kernel, hover line, detail.
import { Choosing } from "./choosing.js";
import { button, element } from "./dom.js";
import { clockFormat, plural, zoneName } from "./format.js";
import { LANES_TOP, LEFT } from "./shapes.js";

export class Texts extends Choosing {
  showTitle() {
    const { store } = this;
    const zone = this.host.option("zone");
    const format = clockFormat(zone);
    const begin = new Date((store.epoch + store.first) * 1000), end = new Date((store.epoch + store.last) * 1000);
    const connections = store.lanes.filter((lane) => lane.kind === "connection").length;
    const times = `${format.format(begin)}–${format.format(end)} ${zoneName(zone, end)}`;
    const news = store.live && store.fresh > 1 ? `, ${store.fresh.toLocaleString("en")} in the last update` : "";
    const shown = this.hiddenLanes ? `, lanes ${this.top + 1} to ${this.top + this.lanes.length - this.fixed} (others: scroll over the names, or arrow keys)` : "";
    this.title.textContent = `${plural(connections, "connection")}, ${plural(store.events, "event")}, ${times}${news}${shown}`;
    this.alignButton.setAttribute("aria-pressed", String(this.aligned));
    this.clockButton.setAttribute("aria-pressed", String(Boolean(this.host.option("clock"))));
    this.followButton.hidden = !store.live;
  }

  answer(message, buffers) {
    if (message.kind === "search") return this.search.answer(message, buffers[0]);
    if (message.kind === "table") return this.table.answer(message);
    if (message.kind === "survival") return this.survival.answer(message);
    if (message.kind === "svg") return this.tools.save(new Blob([message.svg], { type: "image/svg+xml" }), "timeline.svg");
    if (message.kind === "note") return void (this.spoken.textContent = "The note is saved");
    if (message.kind === "refused" && message.asked === "search") return this.search.refuse(message.because);
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
    const row = message.row;
    if (Number.isInteger(row)) {
      const measured = this.host.option("reference") === row;
      const reference = button(head, "Reference", measured, () => this.setReference(row));
      reference.title = "measure the other events from this one";
      if (!this.host.say) reference.remove();
      else button(head, "Note", null, () => this.startNote());
    }
    button(head, "Close", null, () => (detail.hidden = true));
    const list = element("dl", "ck-fields", detail);
    for (const [name, value] of message.fields) {
      element("dt", "", list, name);
      element("dd", "", list, value);
    }
    if (message.payload !== null && message.payload !== undefined) {
      if (message.form) element("div", "ck-form", detail, `payload: ${message.form}`);
      const shown = element("pre", "ck-payload", detail, message.payload);
      shown.tabIndex = 0;
      shown.setAttribute("aria-label", "Payload");
      shown.setAttribute("role", "region");
    }
    detail.hidden = false;
    this.spoken.textContent = message.line;
  }
}
