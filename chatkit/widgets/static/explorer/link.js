// Between kernel and page.
import { element } from "./dom.js";
import { Store } from "./store.js";
import { Timeline } from "./view.js";

// One per widget model and page: holds the store, speaks with the kernel, feeds all views of the widget.
class Link {
  constructor(model) {
    this.model = model;
    this.store = new Store();
    this.views = new Set();
    this.client = globalThis.crypto?.randomUUID?.() ?? String(Math.random());
    this.greeted = false;
    const block = model.get("block");
    if (block?.byteLength) this.store.apply(block);
    model.on("msg:custom", (message, buffers) => this.receive(message, buffers));
    model.on("change:rows", () => this.views.forEach((view) => view.reveal(model.get("rows"))));
    for (const name of ["align", "clock", "zone", "pinned", "reference"]) {
      model.on(`change:${name}`, () => this.views.forEach((view) => view.refresh()));
    }
    model.on("change:query", () => this.views.forEach((view) => view.search.set(model.get("query"))));
    model.on("change:area", () => this.views.forEach((view) => (view.table.refresh(), view.schedule())));
  }
  say(kind, more = {}) {
    this.model.send({ kind, client: this.client, ...more });
  }
  add(view) {
    this.views.add(view);
    // Every new view makes sure that the page holds all there is.
    this.say("hello", { held: this.store.held });
  }
  remove(view) {
    view.close();
    this.views.delete(view);
    try {
      if (!this.views.size) this.say("bye");
    } catch {
      // The kernel went away before its view did: nobody is left to hear it.
    }
  }
  receive(message, buffers) {
    const mine = message.to === this.client;
    if (message.kind === "delta" && (mine || (message.to === "*" && !this.greeted))) this.take(buffers[0], mine);
    else if (mine) this.views.forEach((view) => view.answer(message, buffers));
  }
  take(block, mine) {
    this.greeted ||= mine;
    // A hole can only be filled by asking: what is held goes to the kernel, which sends from there.
    if (!this.store.apply(block)) return this.say("hello", { held: this.store.held });
    const { held } = this.store;
    const done = () => this.say("painted", { held });
    const [view] = this.views;
    if (view) view.painted(done);
    else done();
  }
  host() {
    const { model } = this;
    return {
      ask: (kind, row) => this.say(kind, { row }),
      say: (kind, more) => this.say(kind, more),
      rows: () => model.get("rows") ?? [],
      option: (name) => model.get(name),
      select: (rows) => this.set("rows", rows),
      setOption: (name, value) => this.set(name, value),
    };
  }
  set(name, value) {
    this.model.set(name, value);
    this.model.save_changes();
  }
}

export default () => {
  let link = null;
  return {
    initialize({ model }) {
      link = new Link(model);
    },
    render({ model, el }) {
      link ??= new Link(model);
      const root = element("div", "", el);
      const view = new Timeline(root, link.store, link.host());
      link.add(view);
      return () => link.remove(view);
    },
  };
};
