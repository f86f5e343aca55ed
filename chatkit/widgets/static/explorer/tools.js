// Controls beside the search: time zone, pinned lanes, selection, note, pictures.
import { button, element } from "./dom.js";

export class Tools {
  constructor(timeline, parent) {
    this.timeline = timeline;
    const { host } = timeline;
    this.zone = element("select", "ck-button", parent);
    this.zone.setAttribute("aria-label", "Time zone");
    this.fillZones();
    this.zone.addEventListener("change", () => this.chooseZone());
    this.lanes = element("details", "ck-menu", parent);
    const summary = element("summary", "ck-button", this.lanes, "Pin lanes");
    summary.setAttribute("role", "button");
    this.list = element("div", "ck-menu-list", this.lanes);
    this.list.setAttribute("role", "group");
    this.list.setAttribute("aria-label", "Lanes that stay on top");
    this.lanes.addEventListener("toggle", () => this.lanes.open && this.fillLanes());
    this.lanes.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      this.lanes.open = false;
      summary.focus();
    });
    timeline.root.addEventListener("focusin", (event) => this.lanes.contains(event.target) || (this.lanes.open = false));
    button(parent, "Select view", null, () => timeline.selectView());
    if (host.say) {
      button(parent, "Note", null, () => timeline.startNote());
      button(parent, "SVG", null, () => this.askSvg()).setAttribute("aria-label", "Save as SVG");
    }
    button(parent, "PNG", null, () => this.png()).setAttribute("aria-label", "Save as PNG");
  }

  fillZones() {
    const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const add = (value, text, to = this.zone) => {
      const option = element("option", "", to, text);
      option.value = value;
    };
    add("", `Local (${own})`);
    add("UTC", "UTC");
    const group = element("optgroup", "", this.zone);
    group.label = "Named zones";
    for (const name of Intl.supportedValuesOf?.("timeZone") ?? []) if (name !== "UTC") add(name, name, group);
  }

  chooseZone() {
    this.timeline.host.setOption("zone", this.zone.value);
    this.timeline.host.setOption("clock", true);
    this.timeline.refresh();
  }

  refresh() {
    const zone = String(this.timeline.host.option("zone") ?? "");
    if (![...this.zone.options].some((option) => option.value === zone)) {
      const option = element("option", "", this.zone, zone.slice(0, 60));
      option.value = zone;
    }
    this.zone.value = zone;
    if (this.lanes.open && this.listed !== this.timeline.store.lanes.length) this.fillLanes();
  }

  fillLanes() {
    const { timeline } = this;
    const all = timeline.store.lanes;
    this.listed = all.length;
    this.list.replaceChildren();
    const pinned = new Set(timeline.pinned);
    const first = [...all].sort((p, q) => pinned.has(q.code) - pinned.has(p.code)).slice(0, 300);
    for (const lane of first) {
      const label = element("label", "", this.list);
      const box = element("input", "", label);
      box.type = "checkbox";
      box.checked = pinned.has(lane.code);
      box.addEventListener("change", () => timeline.pin(lane.code));
      element("span", "", label, lane.title);
    }
    if (all.length > first.length) element("span", "", this.list, `${all.length - first.length} more: click a lane's name`);
  }

  askSvg() {
    const [since, until] = this.timeline.view;
    this.timeline.host.say("svg", { since, until });
  }

  png() {
    const { timeline } = this;
    const { ratio, width, canvas } = timeline;
    const below = timeline.survival && !timeline.survival.box.hidden ? timeline.survival.canvas : null;
    const picture = document.createElement("canvas");
    picture.width = canvas.width + 16 * ratio;
    picture.height = canvas.height + (below?.height ?? 0) + 28 * ratio;
    const context = picture.getContext("2d");
    context.fillStyle = timeline.colours.ground || "#fff";
    context.fillRect(0, 0, picture.width, picture.height);
    context.font = `400 ${11 * ratio}px ${timeline.family}`;
    context.fillStyle = timeline.colours.dim;
    context.fillText(timeline.title.textContent, 8 * ratio, 16 * ratio, width * ratio);
    context.drawImage(canvas, 8 * ratio, 24 * ratio);
    if (below) context.drawImage(below, 8 * ratio, 24 * ratio + canvas.height);
    picture.toBlob((blob) => blob && this.save(blob, "timeline.png"), "image/png");
  }

  save(blob, name) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    this.timeline.spoken.textContent = `Saved ${name}`;
  }
}
