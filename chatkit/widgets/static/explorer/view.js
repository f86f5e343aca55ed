// One view: its parts, its listeners, its theme.
import { button, element } from "./dom.js";
import { NoteForm } from "./notes.js";
import { Search } from "./search.js";
import { TONES } from "./shapes.js";
import { SurvivalPanel } from "./survival.js";
import { SelectionTable } from "./table.js";
import { Texts } from "./texts.js";
import { Tools } from "./tools.js";

export class Timeline extends Texts {
  // host: { ask(kind, row), select(rows), rows(), option(name), setOption(name, value) }; with a kernel say(kind, more)
  constructor(root, store, host) {
    super();
    this.root = root;
    this.store = store;
    this.host = host;
    this.mode = "all";
    this.view = [0, 1];
    this.top = 0;
    this.rolled = 0;
    this.chosen = -1;
    this.hovered = null;
    this.widths = new Map();
    this.undo = [];
    this.waiting = [];
    this.build();
    this.watch();
    this.readTheme();
    this.refresh();
  }

  // -- parts

  build() {
    const { root } = this;
    root.classList.add("ck-timeline");
    const head = element("div", "ck-head", root);
    element("span", "ck-name", head, "Timeline");
    this.title = element("span", "ck-title", head);
    this.search = new Search(this, head);
    this.followButton = button(head, "Follow", false, () => this.follow());
    this.clockButton = button(head, "Clock time", false, () => this.toggle("clock"));
    this.alignButton = button(head, "Align at open", false, () => this.toggle("align"));
    this.tools = new Tools(this, head);
    this.stage = element("div", "ck-stage", root);
    this.stage.tabIndex = 0;
    this.stage.setAttribute("role", "application");
    this.stage.setAttribute(
      "aria-label",
      "Timeline. Arrow keys move, plus and minus zoom, Home shows all, Enter begins to step through the events; " +
        "slash searches, n and capital n go to the next and the previous match, s selects what is in view, " +
        "a writes a note, r makes the chosen event the reference, p pins its lane.",
    );
    this.canvas = element("canvas", "", this.stage);
    this.context = this.canvas.getContext("2d");
    this.tip = element("div", "ck-tip", this.stage);
    this.tip.hidden = true;
    this.spoken = element("div", "ck-spoken", root);
    this.spoken.setAttribute("aria-live", "polite");
    this.survival = new SurvivalPanel(this, root);
    this.notes = new NoteForm(this, root);
    this.detail = element("div", "ck-detail", root);
    this.detail.hidden = true;
    this.table = new SelectionTable(this, root);
    this.search.set(String(this.host.option("query") ?? ""));
  }

  on(target, name, act, options) {
    target.addEventListener(name, act, options);
    this.undo.push(() => target.removeEventListener(name, act, options));
  }

  watch() {
    const { stage } = this;
    this.on(stage, "wheel", (event) => this.wheel(event), { passive: false });
    this.on(stage, "pointerdown", (event) => this.press(event));
    this.on(stage, "pointermove", (event) => this.move(event));
    this.on(stage, "pointerup", (event) => this.release(event));
    this.on(stage, "pointercancel", () => (this.drag = null));
    this.on(stage, "pointerleave", () => this.hover(null));
    this.on(stage, "dblclick", () => this.all());
    this.on(stage, "keydown", (event) => this.key(event));
    const sizes = new ResizeObserver(() => this.refresh());
    sizes.observe(stage);
    const themes = new MutationObserver(() => this.readTheme());
    themes.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "class", "data-jp-theme-name"] });
    const dark = matchMedia("(prefers-color-scheme: dark)");
    this.on(dark, "change", () => this.readTheme());
    const changed = () => this.refresh();
    this.store.listeners.add(changed);
    const beat = setInterval(() => this.store.live && this.mode !== "free" && this.schedule(), 250);
    this.undo.push(() => sizes.disconnect(), () => themes.disconnect(), () => this.store.listeners.delete(changed));
    this.undo.push(() => clearInterval(beat), () => cancelAnimationFrame(this.frame));
  }

  close() {
    for (const act of this.undo) act();
    this.undo = [];
    this.closed = true;
    this.settle();
  }

  readTheme() {
    const said = document.body.dataset.jpThemeLight;
    const dark = said !== undefined ? said === "false"
      : document.body.classList.contains("vscode-dark") || matchMedia("(prefers-color-scheme: dark)").matches;
    this.root.dataset.ckTheme = dark ? "dark" : "light";
    // JupyterLab swaps its style sheet after the attribute: look again when it is there.
    clearTimeout(this.themeTimer);
    this.readColours();
    this.themeTimer = setTimeout(() => this.closed || this.readColours(), 300);
  }

  readColours() {
    const style = getComputedStyle(this.root);
    const read = (name) => style.getPropertyValue(`--ck-${name}`).trim();
    this.tones = TONES.map(read);
    this.colours = Object.fromEntries(["ground", "ink", "dim", "line", "grid", "received"].map((n) => [n, read(n)]));
    this.family = style.fontFamily;
    this.widths.clear();
    this.schedule();
  }
}
