// Words around the canvas: title, filter, hover line, detail.
import { button, element } from "./dom.js";
import { filterOf } from "./filter.js";
import { clockFormat, plural, zoneName } from "./format.js";
import { Moving } from "./moving.js";
import { LANES_TOP, LEFT } from "./shapes.js";

export class Texts extends Moving {
  showTitle() {
    const { store } = this;
    const zone = this.host.option("zone");
    const format = clockFormat(zone);
    const begin = new Date((store.epoch + store.first) * 1000), end = new Date((store.epoch + store.last) * 1000);
    const connections = store.lanes.filter((lane) => lane.kind === "connection").length;
    const times = `${format.format(begin)}–${format.format(end)} ${zoneName(zone, end)}`;
    this.title.textContent = `${plural(connections, "connection")}, ${plural(store.events, "event")}, ${times}${store.live && store.fresh > 1 ? `, ${store.fresh.toLocaleString("en")} in the last update` : ""}`;
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
}
