// The selected events as a table.
import { button, element } from "./dom.js";
import { plural } from "./format.js";

export class SelectionTable {
  constructor(timeline, parent) {
    this.timeline = timeline;
    this.start = 0;
    this.count = 0;
    this.box = element("div", "ck-table", parent);
    this.box.hidden = true;
    const head = element("div", "ck-detail-head", this.box);
    this.said = element("span", "ck-selected", head);
    this.said.setAttribute("role", "status");
    this.earlier = button(head, "Earlier", null, () => this.ask(this.start - this.step));
    this.later = button(head, "Later", null, () => this.ask(this.start + this.step));
    button(head, "Clear selection", null, () => timeline.selectArea(null));
    const scroll = element("div", "ck-scroll", this.box);
    scroll.tabIndex = 0;
    scroll.setAttribute("role", "region");
    scroll.setAttribute("aria-label", "Selected events");
    const table = element("table", "", scroll);
    element("caption", "ck-caption", table, "Selected events");
    const row = element("tr", "", element("thead", "", table));
    for (const name of ["Time", "Since the line above", "Connection", "What"]) element("th", "", row, name).scope = "col";
    this.body = element("tbody", "", table);
    this.step = 200;
  }

  // The selection is another one now, or the query within it.
  refresh() {
    const { host } = this.timeline;
    if (!host.say) return;
    const area = this.timeline.area;
    const rows = host.rows();
    if (!area && rows.length < 2) {
      this.box.hidden = true;
      return;
    }
    this.ask(0);
  }

  ask(start) {
    this.timeline.host.say("table", { start: Math.max(0, start) });
  }

  answer({ start, count, lines }) {
    if (!this.timeline.area && this.timeline.host.rows().length < 2) return;
    Object.assign(this, { start, count });
    const some = lines.length < count ? `, ${(start + 1).toLocaleString("en")} to ${(start + lines.length).toLocaleString("en")} shown` : "";
    this.said.textContent = `${plural(count, "event")} selected${some}; all of them: .selection in Python`;
    this.earlier.hidden = this.later.hidden = lines.length >= count;
    this.earlier.disabled = start === 0;
    this.later.disabled = start + lines.length >= count;
    this.body.replaceChildren(...lines.map((line) => this.line(line)));
    this.box.hidden = false;
  }

  line([row, at, delta, connection, what]) {
    const made = element("tr", "");
    const time = element("td", "", made);
    const open = button(time, this.timeline.timeOf(at), null, () => this.timeline.goTo(row));
    open.className = "ck-link";
    element("td", "ck-number", made, delta);
    element("td", "", made, connection);
    element("td", "ck-what", made, what);
    return made;
  }
}
