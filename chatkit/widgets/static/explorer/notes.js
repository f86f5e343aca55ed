// A note at a moment, an event or a lane.
import { button, element } from "./dom.js";

export class NoteForm {
  constructor(timeline, parent) {
    this.timeline = timeline;
    this.form = element("form", "ck-note", parent);
    this.form.hidden = true;
    this.label = element("label", "", this.form);
    this.words = element("span", "", this.label);
    this.field = element("input", "ck-filter", this.label);
    this.field.type = "text";
    this.field.maxLength = 2000;
    this.field.required = true;
    const save = button(this.form, "Save note", null, () => {});
    save.type = "submit";
    button(this.form, "Cancel", null, () => this.close());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.save();
    });
    this.form.addEventListener("keydown", (event) => {
      event.stopPropagation(); // JupyterLab's shortcuts are not meant while somebody writes
      if (event.key === "Escape") this.close();
    });
  }

  open({ at, lane = null, row = null }) {
    this.about = { at, ...(lane === null ? {} : { lane }), ...(row === null || row < 0 ? {} : { row }) };
    const on = this.timeline.store.lanes.find((one) => one.code === lane);
    this.words.textContent = `Note at ${this.timeline.timeOf(at)}${on ? `, ${on.title}` : ""}`;
    this.form.hidden = false;
    this.field.focus();
  }

  save() {
    const text = this.field.value.trim();
    if (!text) return;
    this.timeline.host.say("note", { text, ...this.about });
    this.field.value = "";
    this.close();
  }

  close() {
    this.form.hidden = true;
    this.timeline.stage.focus();
  }
}
