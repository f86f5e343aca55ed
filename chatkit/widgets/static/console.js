// The console's window: draws the view that Python computed and sends back what the user does.
// Everything that a bot or server said arrives as text and is set as text, never as markup.

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

function follow(place, element) {
  if (place.nextSibling !== element) place.after(element);
  return element;
}

function setTone(element, tone) {
  if (element.dataset.tone !== tone) element.dataset.tone = tone;
}

function span(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 90) return `${s} s`;
  if (s < 5400) return `${Math.floor(s / 60)} min ${s % 60} s`;
  return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
}

const BUTTONS = {
  connect: "Connect",
  disconnect: "Disconnect",
  retry: "Retry now",
  reconnect: "Reconnect",
};

function topBar(send, form) {
  const url = make("input", { class: "ck-field", size: 26, "aria-label": "Backend URL", placeholder: "http://host:port", spellcheck: "false" });
  url.value = form.url || "";
  const bots = form.bots || [];
  const bot = bots.length
    ? make("select", { class: "ck-field", "aria-label": "Bot" },
        ...bots.map((b) => make("option", { value: b.id, selected: b.id === form.bot }, b.name)))
    : make("input", { class: "ck-field", size: 16, "aria-label": "Bot id", placeholder: "bot id", spellcheck: "false" });
  if (!bots.length) bot.value = form.bot || "";
  const user = make("input", { class: "ck-field", size: 12, "aria-label": "User name", placeholder: "user", autocomplete: "off", spellcheck: "false" });
  user.value = form.user || "";
  const password = make("input", { class: "ck-field", size: 12, type: "password", "aria-label": "Password", placeholder: "password", autocomplete: "off" });
  const token = make("input", { class: "ck-field", size: 24, type: "password", "aria-label": "Access token", placeholder: "or an access token", autocomplete: "off" });
  const chip = make("span", { class: "ck-chip", "data-tone": "idle" });
  const action = make("button", { class: "ck-primary", type: "button" });
  const stop = make("button", { type: "button" }, "Disconnect");
  const signin = make("div", { class: "ck-bar ck-signin" }, make("span", { class: "ck-dim" }, "Sign in:"), user, password, token);
  const connect = () => {
    send({
      type: "connect",
      url: url.value,
      bot: bot.value,
      user: user.value,
      password: password.value,
      token: token.value,
    });
    password.value = "";
    token.value = "";
  };
  action.addEventListener("click", () => {
    const what = action.dataset.action;
    if (what === "connect") connect();
    else if (what === "reconnect" && token.value) {
      send({ type: "token", token: token.value });
      token.value = "";
    } else send({ type: what === "reconnect" ? "retry" : what });
  });
  stop.addEventListener("click", () => send({ type: "disconnect" }));
  for (const field of [url, bot, user, password, token]) {
    field.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && action.dataset.action === "connect") connect();
    });
  }
  const place = make("span", { class: "ck-place" });
  const bar = make("div", { class: "ck-bar" },
    make("span", { class: "ck-brand" }, "chatkit"), url, bot, chip, make("span", { class: "ck-grow" }), place, stop, action);
  const element = make("div", { class: "ck-panel ck-top" }, bar, signin);
  const update = (view) => {
    const button = view.state.button;
    action.dataset.action = button;
    setText(action, BUTTONS[button]);
    stop.hidden = button === "connect" || button === "disconnect";
    const connected = button !== "connect";
    url.disabled = bot.disabled = connected;
    user.hidden = password.hidden = connected;
    signin.hidden = form.ready ? button !== "reconnect" : !(button === "connect" || button === "reconnect");
    setTone(chip, view.token.tone);
    setText(chip, view.token.text);
  };
  return { element, place, update, target: () => ({ url: url.value, bot: bot.value }) };
}

function stateLine() {
  const dot = make("span", { class: "ck-dot", "data-tone": "idle" });
  const word = make("span", { class: "ck-word" });
  const since = make("span", { class: "ck-since" });
  const light = make("span", { class: "ck-dot ck-small", "data-tone": "idle" });
  const health = make("span");
  const explain = make("div", { class: "ck-explain" });
  const problem = make("div", { class: "ck-problem", role: "alert" });
  const line = make("div", { class: "ck-state" }, dot,
    make("span", { role: "status", "aria-live": "polite" }, word), since, make("span", { class: "ck-grow" }),
    make("span", { class: "ck-health" }, light, health));
  const element = make("div", { class: "ck-panel ck-now" }, line, explain, problem);
  let state = null;
  let offset = 0;
  // The kernel's clock may differ from the browser's; the view says what the kernel's clock showed.
  const tick = () => {
    if (!state) return;
    const now = Date.now() / 1000 + offset;
    const parts = [];
    if (state.since) parts.push(`for ${span(now - state.since)}`);
    if (state.stable) parts.push("stable");
    if (state.retryAt) parts.push(`${state.retryWords} ${span(Math.ceil(state.retryAt - now))}`);
    if (state.quietUntil && state.quietUntil > now) parts.push(`first ping in ${span(Math.ceil(state.quietUntil - now))}`);
    setText(since, parts.join(", "));
  };
  const update = (view, trouble) => {
    state = view.state;
    offset = view.now - Date.now() / 1000;
    setTone(dot, state.tone);
    setText(word, state.word);
    setText(explain, state.explain);
    setText(health, view.health.text);
    setTone(light, view.health.tone);
    light.hidden = !view.health.text;
    setText(problem, trouble || "");
    tick();
  };
  return { element, update, tick };
}

function conversation(send) {
  const earlier = make("div", { class: "ck-meta" });
  const border = make("div", { class: "ck-border" }, "found again: what stands above is from before the restart");
  const log = make("div", { class: "ck-log", role: "log", "aria-live": "polite", "aria-label": "Conversation", tabindex: "0" }, earlier);
  const typing = make("div", { class: "ck-typing", "aria-live": "polite" });
  const box = make("textarea", { class: "ck-field", rows: 1, "aria-label": "Message" });
  const button = make("button", { class: "ck-primary", type: "button" }, "Send");
  const shown = new Map();
  const submit = () => {
    if (!box.value.trim() || button.disabled) return;
    send({ type: "send", text: box.value });
    box.value = "";
  };
  button.addEventListener("click", submit);
  box.addEventListener("keydown", (event) => {
    // JupyterLab listens to keys as well; what is typed here is not for it.
    event.stopPropagation();
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      submit();
    }
  });
  let said = 0;
  box.addEventListener("input", () => {
    const now = Date.now();
    if (box.value && now - said > 1000) {
      said = now;
      send({ type: "typing" });
    }
  });
  const element = make("section", { class: "ck-panel ck-talk", "aria-label": "Conversation" },
    make("h3", {}, "Conversation"), log, typing, make("div", { class: "ck-send" }, box, button));
  const update = (view) => {
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 24;
    setText(earlier, view.earlier ? `${view.earlier} earlier messages are not shown` : "");
    const keys = new Set(view.messages.map((message) => message.key));
    for (const [key, row] of shown) {
      if (!keys.has(key)) {
        row.element.remove();
        shown.delete(key);
      }
    }
    const lastFormer = view.messages.findLastIndex((message) => message.former);
    if (lastFormer < 0) border.remove();
    let place = earlier;
    view.messages.forEach((message, n) => {
      let row = shown.get(message.key);
      if (!row) {
        const text = make("span", { class: "ck-text" });
        const meta = make("div", { class: "ck-meta" });
        row = { text, meta, element: make("div", { class: message.mine ? "ck-msg ck-mine" : "ck-msg" }, text, meta) };
        shown.set(message.key, row);
      }
      // Not always at the end: the history may fill in a message between two that are there.
      place = follow(place, row.element);
      if (n === lastFormer) place = follow(place, border);
      setText(row.text, message.text);
      row.text.dataset.streaming = String(message.streaming);
      setText(row.meta, message.meta);
      setTone(row.meta, message.tone);
    });
    setText(typing, view.typing);
    const open = view.state.button !== "connect";
    button.disabled = !open;
    box.disabled = !open;
    box.placeholder = open ? `Message ${view.bot}…` : "Connect first";
    if (atEnd) log.scrollTop = log.scrollHeight;
  };
  return { element, update };
}

function preflight(send, target) {
  const button = make("button", { type: "button" }, "Check");
  const copy = make("button", { type: "button", hidden: true }, "Copy as text");
  const list = make("ul", { class: "ck-list", tabindex: "0", "aria-label": "Results of the check", "aria-live": "polite" });
  const hint = make("div", { class: "ck-dim" });
  button.addEventListener("click", () => send({ type: "check", ...target() }));
  let text = "";
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    setText(copy, "Copied");
    setTimeout(() => setText(copy, "Copy as text"), 1500);
  });
  const head = make("div", { class: "ck-bar" }, make("h3", {}, "What works right now"), make("span", { class: "ck-grow" }), copy, button);
  const element = make("section", { class: "ck-panel ck-checks", "aria-label": "Pre-flight check" }, head, hint, list);
  const update = (checks) => {
    const rows = checks.lines || [];
    text = checks.text || "";
    button.disabled = Boolean(checks.running);
    setText(button, checks.running ? "Checking…" : rows.length ? "Check again" : "Check");
    copy.hidden = !text;
    setText(hint, checks.hint || "");
    hint.hidden = !checks.hint;
    list.replaceChildren(...rows.map((row) => {
      const summary = make("span", { class: "ck-summary" }, make("b", {}, row.title), "  ", row.summary);
      if (row.remedy) summary.append(make("div", { class: "ck-remedy" }, row.remedy));
      return make("li", { "data-tone": row.status }, make("span", { class: "ck-result" }, row.status.replace("-", " ")), summary);
    }));
  };
  return { element, update };
}

const PIECE = 1 << 20;
const KINDS = { report: "Report (HTML)", bundle: "Bundle (zip)", har: "HAR", jsonl: "Recording (JSON Lines)" };

// Files go to the kernel piece by piece; the next one leaves when the last one is answered.
function evidenceBar(model, root) {
  const input = make("input", { type: "file", multiple: true, hidden: true, tabindex: "-1", "aria-hidden": "true" });
  const choose = make("button", { type: "button", class: "ck-drop" }, "Drop evidence: HAR, pcap, log");
  const words = make("span", { class: "ck-dim", role: "status", "aria-live": "polite" });
  const away = make("button", { type: "button" });
  const exported = make("span", { class: "ck-dim ck-path", role: "status", "aria-live": "polite" });
  const list = make("div", { class: "ck-exports" }, ...Object.entries(KINDS).map(([kind, title]) => {
    const button = make("button", { type: "button" }, title);
    button.addEventListener("click", () => {
      menu.open = false;
      model.send({ type: "export", kind, view: me });
    });
    return button;
  }));
  const menu = make("details", { class: "ck-menu" }, make("summary", {}, "Export"), list);
  const line = make("div", { class: "ck-bar ck-evidence" }, words, away, exported);
  // The same console may be shown twice; a download is for the one that asked.
  const me = Math.random().toString(36).slice(2);
  let answered = null;
  let cancelled = false;
  const hear = (message, buffers) => {
    if (message.type === "evidence-got") answered?.(message.bytes);
    if (message.type === "download" && message.view === me) {
      const url = URL.createObjectURL(new Blob([buffers[0]]));
      make("a", { href: url, download: message.name }).click();
      setTimeout(() => URL.revokeObjectURL(url), 10000);
    }
  };
  const ask = (content, buffers = []) => new Promise((done) => {
    answered = done;
    model.send(content, undefined, buffers);
  });
  const take = async (files) => {
    if (!files.length || choose.disabled) return;
    const size = files.reduce((sum, file) => sum + file.size, 0);
    cancelled = false;
    await ask({ type: "evidence", names: files.map((file) => file.name), size });
    for (const [number, file] of files.entries()) {
      for (let at = 0; at < file.size && !cancelled; at += PIECE) {
        const got = await ask({ type: "evidence-piece", file: number }, [await file.slice(at, at + PIECE).arrayBuffer()]);
        setText(words, `${Math.round((100 * got) / size)} % of ${(size / 1e6).toFixed(1)} MB`);
      }
    }
    if (!cancelled) model.send({ type: "evidence-end" });
  };
  choose.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    take([...input.files]);
    input.value = "";
  });
  away.addEventListener("click", () => {
    cancelled = true;
    model.send({ type: "evidence-close" });
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && menu.open) {
      event.stopPropagation();
      menu.open = false;
      menu.firstChild.focus();
    }
  });
  const over = (yes) => (event) => {
    if (![...(event.dataTransfer?.types || [])].includes("Files")) return;
    event.preventDefault();
    event.stopPropagation();
    choose.dataset.over = String(yes);
    if (event.type === "drop") take([...event.dataTransfer.files]);
  };
  root.addEventListener("dragover", over(true));
  root.addEventListener("dragleave", over(false));
  root.addEventListener("drop", over(false));
  const update = () => {
    const state = model.get("evidence");
    const coming = state.phase === "coming";
    choose.disabled = coming || state.phase === "reading";
    setText(words, state.words || "");
    away.hidden = state.phase === "none" || state.phase === "reading";
    setText(away, coming ? "Cancel" : "Close the evidence");
    setText(exported, model.get("exported"));
    line.hidden = !state.words && !model.get("exported");
  };
  model.on("msg:custom", hear);
  return { buttons: [choose, input, menu], line, update, close: () => model.off("msg:custom", hear) };
}

function render({ model, el }) {
  const send = (content) => model.send(content);
  const bar = topBar(send, model.get("form"));
  const state = stateLine();
  const talk = conversation(send);
  const checks = preflight(send, bar.target);
  const root = make("div", { class: "ck-console", role: "region", "aria-label": "chatkit console" });
  const evidence = evidenceBar(model, root);
  bar.place.append(...evidence.buttons);
  bar.element.append(evidence.line);
  root.append(bar.element, state.element, talk.element, checks.element);
  el.append(make("div", { class: "ck-console-frame" }, root));
  // An empty conversation gives its place away: to the check, or together with it to the verdict on what was dropped.
  const arrange = () => {
    const now = model.get("view").state;
    const without = !now || (now.button === "connect" && !model.get("view").messages.length);
    const reading = without && model.get("evidence").phase === "shown";
    talk.element.hidden = without;
    checks.element.hidden = reading;
    state.element.hidden = reading && !model.get("problem");
  };
  model.on("change:evidence", evidence.update);
  model.on("change:evidence", arrange);
  model.on("change:exported", evidence.update);
  evidence.update();
  const draw = () => {
    const view = model.get("view");
    if (!view.state) return;
    bar.update(view);
    state.update(view, model.get("problem"));
    talk.update(view);
    arrange();
  };
  const drawChecks = () => checks.update(model.get("checks"));
  model.on("change:view", draw);
  model.on("change:problem", draw);
  model.on("change:checks", drawChecks);
  draw();
  drawChecks();
  const timer = setInterval(state.tick, 500);
  return () => {
    clearInterval(timer);
    evidence.close();
    model.off("change:evidence", evidence.update);
    model.off("change:evidence", arrange);
    model.off("change:exported", evidence.update);
    model.off("change:view", draw);
    model.off("change:problem", draw);
    model.off("change:checks", drawChecks);
  };
}

export default { render };
