// The window of an investigation: a form, a question before anything delicate, and the parts that Python drew.
// Parts are HTML made and escaped by chatkit.views; everything else is set as text. A secret leaves by a message of
// its own and is kept nowhere here.

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function field(label, input) {
  return make("label", { class: "ck-labelled" }, make("span", {}, label), input);
}

function tick(label, name) {
  const input = make("input", { type: "checkbox", name });
  return { input, element: make("label", { class: "ck-tick" }, input, label) };
}

function formOf(send) {
  const text = (name, size, more = {}) =>
    make("input", { class: "ck-field", name, size, spellcheck: "false", autocomplete: "off", ...more });
  const url = text("url", 28, { placeholder: "http://host:port" });
  const botField = text("bot", 14, { placeholder: "bot id" });
  const botList = make("select", { class: "ck-field", name: "bots" });
  const token = text("token", 18, { type: "password" });
  const budget = text("budget", 4, { type: "number", min: 5, step: 5 });
  const chat = tick("may send chat messages", "chat");
  const intrusive = tick("intrusive", "intrusive");
  const start = make("button", { class: "ck-primary", type: "button" }, "Start");
  const stop = make("button", { type: "button" }, "Stop");
  const verify = make("button", { type: "button", title: "Finds the cause once more, then tries what stops it beside a control" },
    "Verify the cure");
  const elsewhere = [field("URL", url), field("bot", make("span", {}, botField, botList)), field("token", token)];
  const title = make("h3", {}, "Investigate");
  const element = make("form", { class: "ck-panel ck-investigate-form", "aria-label": "What to investigate" },
    make("div", { class: "ck-bar" },
      title, ...elsewhere, field("budget, s", budget),
      make("span", { class: "ck-grow" }), verify, stop, start),
    make("div", { class: "ck-bar ck-ticks" }, chat.element, intrusive.element,
      make("span", { class: "ck-dim" }, "at most 12 connections, 2 messages a second; intrusive: growing payloads")));
  let listed = false;
  // Each change is sent when it is made, and from there comes back what follows of it. The token goes once, on Start.
  const changed = (input) => {
    if (input === token) return;
    const name = input === botList ? "bot" : input.name;
    send({ type: "form", name, value: input.type === "checkbox" ? input.checked : input.value });
  };
  const begin = (type) => {
    send({ type, token: token.value });
    token.value = "";
  };
  // What is typed here is not for JupyterLab's shortcuts, and Enter is no submission of a page.
  element.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Enter" && event.target.tagName === "INPUT" && event.target.type !== "checkbox") {
      event.preventDefault();
      changed(event.target);
      if (!start.disabled && !start.hidden) begin("start");
    }
  });
  element.addEventListener("submit", (event) => event.preventDefault());
  element.addEventListener("change", (event) => changed(event.target));
  start.addEventListener("click", () => begin("start"));
  verify.addEventListener("click", () => begin("verify"));
  stop.addEventListener("click", () => send({ type: "stop" }));
  const fill = (form) => {
    const bots = form.bots || [];
    listed = bots.length > 0;
    botField.hidden = listed;
    botList.hidden = !listed;
    if (botList.length !== bots.length) {
      botList.replaceChildren(...bots.map((bot) => make("option", { value: bot.id }, bot.name)));
    }
    botField.setAttribute("aria-label", "bot id");
    botList.setAttribute("aria-label", "bot");
    for (const [input, value] of [[url, form.url], [botField, form.bot], [botList, form.bot], [budget, form.budget]]) {
      if (document.activeElement !== input && value != null && input.value !== String(value)) input.value = value;
    }
    chat.input.checked = Boolean(form.chat);
    intrusive.input.checked = Boolean(form.intrusive);
    title.hidden = !form.inside;
    for (const one of elsewhere) one.hidden = Boolean(form.inside);
    token.placeholder = form.ready ? "given" : "access token";
  };
  const update = (state) => {
    const busy = state.phase === "running" || state.phase === "stopping" || state.phase === "asking";
    for (const input of [url, botField, botList, token, budget, chat.input, intrusive.input]) input.disabled = busy;
    start.disabled = busy;
    start.hidden = state.phase === "running" || state.phase === "stopping";
    setText(start, state.again ? "Start again" : "Start");
    stop.hidden = !start.hidden;
    stop.disabled = state.phase === "stopping";
    setText(stop, state.phase === "stopping" ? "Stopping…" : "Stop");
    verify.hidden = !state.verify || busy;
  };
  return { element, fill, update };
}

function questionOf(send) {
  const text = make("p", {});
  const yes = make("button", { type: "button" });
  const no = make("button", { type: "button" });
  const cancel = make("button", { type: "button" }, "Cancel");
  const element = make("div", { class: "ck-panel ck-question", role: "alertdialog", "aria-label": "A question before it starts" },
    text, make("div", { class: "ck-bar" }, no, yes, cancel));
  let about = "";
  for (const [button, answer] of [[yes, "yes"], [no, "no"], [cancel, "cancel"]]) {
    button.addEventListener("click", () => send({ type: "answer", about, answer }));
  }
  const update = (question) => {
    const fresh = question.about && question.about !== about;
    about = question.about || "";
    element.hidden = !about;
    setText(text, question.text || "");
    setText(yes, question.yes || "");
    setText(no, question.no || "");
    // The careful answer has the focus: an Enter too many permits nothing.
    if (fresh) no.focus();
  };
  return { element, update };
}

const PARTS = ["head", "bars", "arms", "probes", "notes"];

function render({ model, el }) {
  const send = (content) => model.send(content);
  const form = formOf(send);
  const question = questionOf(send);
  const problem = make("div", { class: "ck-problem", role: "alert" });
  const status = make("div", { class: "ck-unseen", role: "status", "aria-live": "polite" });
  const live = make("section", { class: "ckv cki", "aria-label": "Investigation" });
  const found = make("div", { class: "ck-found" });
  const root = make("div", { class: "ck-console ck-investigate", role: "region", "aria-label": "chatkit investigation" },
    form.element, question.element, problem, status, live, found);
  el.append(make("div", { class: "ck-console-frame" }, root));
  // Only what changed is exchanged: a selection or an opened line elsewhere stays.
  const drawPart = (name, place) => {
    place.innerHTML = model.get(name);
    place.hidden = !model.get(name);
    live.hidden = PARTS.every((part) => !model.get(part));
  };
  const places = Object.fromEntries(PARTS.map((name) => [name, make("div", { "data-part": name })]));
  live.append(...PARTS.map((name) => places[name]));
  const draw = () => {
    const state = model.get("state");
    form.update(state);
    live.dataset.tone = state.phase === "running" ? "busy" : "done";
    setText(status, state.words || "");
    setText(problem, state.problem || "");
    question.update(state.question || {});
  };
  const bindings = [
    ["change:form", () => form.fill(model.get("form"))],
    ["change:state", draw],
    ...PARTS.map((name) => [`change:${name}`, () => drawPart(name, places[name])]),
    ["change:found", () => drawPart("found", found)],
  ];
  for (const [event, react] of bindings) {
    model.on(event, react);
    react();
  }
  return () => {
    for (const [event, react] of bindings) model.off(event, react);
  };
}

export default { render };
