
// ---------------------------------------------------------------- the report: no kernel, all it shows is in the page

const MOST_LISTED = 60;

async function unpacked(id) {
  const packed = Uint8Array.from(atob(document.getElementById(id).textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

class Report {
  constructor(store, details, places) {
    this.details = details;
    this.places = places;
    this.rows = [];
    this.options = { align: "", clock: false, zone: "UTC" };
    this.box = document.getElementById("chosen");
    this.view = new Timeline(document.getElementById("timeline"), store, {
      ask: (kind, row) => this.answer(kind, row),
      rows: () => this.rows,
      select: (rows) => this.choose(rows),
      option: (name) => this.options[name],
      setOption: (name, value) => (this.options[name] = value),
    });
    const list = document.getElementById("chosen-list");
    this.list = list;
    this.count = document.getElementById("chosen-count");
    document.getElementById("chosen-show").addEventListener("click", () => this.show());
    document.getElementById("chosen-clear").addEventListener("click", () => this.choose([]));
    for (const claim of document.querySelectorAll("[data-events]")) {
      const actor = claim.querySelector("summary") ?? claim;
      actor.addEventListener("click", () => this.claim(claim));
    }
  }

  answer(kind, row) {
    const detail = this.details.get(row);
    const left = [["not in this page", "it holds the events that matter first; all of them are in the recording"]];
    const message = detail ?? { line: this.line(row), fields: left, payload: null };
    if (kind === "hover" && !detail) return;
    queueMicrotask(() => this.view.answer({ kind, row, ...message }));
  }

  // What the timeline itself knows of an event whose details are not in the page.
  line(row) {
    const { ticks, marks, words } = this.view.store;
    for (const { length, columns } of [ticks, marks]) {
      for (let i = 0; i < length; i++) if (columns.row[i] === row) return words[columns.word[i]];
    }
    return "an event";
  }

  claim(claim) {
    const rows = JSON.parse(claim.dataset.events).map((id) => this.places[id]).filter(Number.isInteger);
    const again = claim.dataset.chosen === "true";
    this.choose(again ? [] : rows, again ? null : claim);
  }

  choose(rows, claim = null) {
    this.rows = rows;
    document.querySelectorAll("[data-chosen]").forEach((one) => delete one.dataset.chosen);
    if (claim) claim.dataset.chosen = "true";
    // What the timeline chose itself it shows in full; whatever else is selected takes that away.
    if (!rows.includes(this.view.chosen)) {
      this.view.chosen = -1;
      this.view.detail.hidden = true;
    }
    this.view.reveal(rows);
    this.tell();
  }

  tell() {
    const { rows } = this;
    this.box.hidden = !rows.length;
    this.count.textContent = `${plural(rows.length, "event")} selected`;
    this.list.replaceChildren();
    const told = rows.map((row) => [this.details.get(row)?.at ?? 0, row]).sort((a, b) => a[0] - b[0]);
    for (const [at, row] of told.slice(0, MOST_LISTED)) {
      const detail = this.details.get(row);
      element("li", "", this.list, detail ? `${at.toFixed(3)} s  ${detail.where}${detail.line}` : this.line(row));
    }
    if (rows.length > MOST_LISTED) element("li", "ckr-dim", this.list, `and ${rows.length - MOST_LISTED} more`);
  }

  // Zooms to what is selected, with some room around it.
  show() {
    const times = this.rows.map((row) => this.details.get(row)?.at).filter((at) => at !== undefined);
    if (!times.length) return;
    const begin = Math.min(...times), end = Math.max(...times);
    const room = Math.max((end - begin) * 0.25, 0.5);
    this.view.free([begin - room, end + room]);
    document.getElementById("timeline-panel").scrollIntoView({ block: "nearest" });
  }
}

function offerCopy() {
  const ticket = document.getElementById("ticket");
  const said = document.getElementById("copied");
  document.getElementById("copy").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(ticket.value);
      said.textContent = "Copied.";
    } catch {
      // Without permission for the clipboard the ticket is shown and selected: one key is left to press.
      document.getElementById("ticket-box").open = true;
      ticket.select();
      said.textContent = document.execCommand("copy") ? "Copied." : "Selected below: press Ctrl+C or ⌘C.";
    }
  });
}

async function open() {
  offerCopy();
  try {
    const [layout, lines] = await Promise.all([unpacked("layout"), unpacked("details")]);
    const store = new Store();
    store.apply(new DataView(layout.buffer));
    const text = new TextDecoder().decode(lines);
    const details = new Map(text.split("\n").filter(Boolean).map((line) => JSON.parse(line)).map((one) => [one.row, one]));
    const places = JSON.parse(document.getElementById("places").textContent);
    document.body.report = new Report(store, details, places);
    document.body.dataset.ready = "true";
  } catch (error) {
    const note = "The timeline cannot be drawn in this browser; everything else on this page is complete.";
    element("p", "ckr-note", document.getElementById("timeline-panel"), `${note} (${error.message})`);
    document.body.dataset.ready = "failed";
  }
}

open();
