// The query language of chatkit/views/query.py: read into the same tree as the kernel does. Evaluated here only where
// no kernel answers: by words, kinds, lanes and sizes; payloads are not in the page.

const QUERY_MOST = 500, QUERY_DEEPEST = 20;
const QUERY_TOKEN = /\s+|([()])|([-!])(?=[^\s])|\/((?:\\.|[^/\\])+)\/(?=[\s)]|$)|"([^"]*)"|([^\s()"]+)/suy;
const QUERY_SIZE = /^size(>=|<=|>|<|=)(\d{1,15})$/;
const QUERY_KEYS = { type: "type", kind: "type", connection: "connection", conn: "connection" };
const QUERY_WORDS = {
  sent: ["direction", "sent"], received: ["direction", "received"], control: ["control"], data: ["data"],
};
const CONTROL_KIND = /^(Ping|Pong|Close)(Sent|Received)$/;
const SENT_KIND = /^(\w+Sent|UpgradeRequested)$/;
const RECEIVED_KIND = /^((?!BadMessage)\w+Received|UpgradeAnswered)$/;

class QueryError extends Error {
  constructor(what, place) {
    super(`${what} (character ${place} of the query)`);
    this.place = place;
  }
}

export function parseQuery(text) {
  if (text.length > QUERY_MOST) throw new QueryError("the query is too long", QUERY_MOST);
  const tokens = queryTokens(text);
  return tokens.length ? new QueryReader(tokens).whole() : null;
}

function queryTokens(text) {
  const found = [];
  let place = 0;
  while (place < text.length) {
    QUERY_TOKEN.lastIndex = place;
    const match = QUERY_TOKEN.exec(text);
    if (!match || (match[5]?.startsWith("/") && match[5].length > 1)) {
      throw new QueryError(text[place] === "/" ? "a regular expression is not closed" : "a quotation mark is not closed", place + 1);
    }
    const [whole, bracket, minus, regex, quoted, word] = match;
    const low = word?.toLowerCase();
    if (bracket) found.push([bracket, bracket, place + 1]);
    else if (minus) found.push(["not", minus, place + 1]);
    else if (regex) found.push(["regex", regex, place + 1]);
    else if (quoted !== undefined) found.push(["text", quoted, place + 1]);
    else if (word) found.push([["and", "or", "not"].includes(low) ? low : "word", word, place + 1]);
    place += whole.length;
  }
  return found;
}

class QueryReader {
  constructor(tokens) {
    this.tokens = tokens;
    this.n = 0;
    this.depth = 0;
  }
  get next() {
    return this.tokens[this.n]?.[0] ?? null;
  }
  whole() {
    const tree = this.either();
    if (this.next !== null) throw new QueryError("nothing was opened that this closes", this.tokens[this.n][2]);
    return tree;
  }
  either() {
    const parts = [this.both()];
    while (this.next === "or") {
      this.n += 1;
      parts.push(this.both());
    }
    return parts.length === 1 ? parts[0] : ["or", ...parts];
  }
  both() {
    const parts = [this.term()];
    while (![null, "or", ")"].includes(this.next)) {
      if (this.next === "and") this.n += 1;
      parts.push(this.term());
    }
    return parts.length === 1 ? parts[0] : ["and", ...parts];
  }
  term() {
    if ([null, "and", "or", ")"].includes(this.next)) {
      throw new QueryError("something to look for is missing", (this.tokens[this.n] ?? this.tokens.at(-1))[2]);
    }
    const [kind, value, place] = this.tokens[this.n++];
    if (kind === "(" || kind === "not") {
      if (++this.depth > QUERY_DEEPEST) throw new QueryError("the query is nested too deeply", place);
      const made = kind === "(" ? this.group(place) : ["not", this.term()];
      this.depth -= 1;
      return made;
    }
    if (kind === "regex") {
      try {
        new RegExp(value, "is");
      } catch (error) {
        throw new QueryError(`the regular expression does not work: ${error.message}`, place);
      }
      return ["regex", value];
    }
    return kind === "text" ? ["text", value.toLowerCase()] : this.word(value, place);
  }
  group(place) {
    const made = this.either();
    if (this.next !== ")") throw new QueryError("a parenthesis is not closed", place);
    this.n += 1;
    return made;
  }
  word(value, place) {
    const low = value.toLowerCase();
    if (low === "only" && Object.hasOwn(QUERY_WORDS, this.following())) return this.term();
    if (Object.hasOwn(QUERY_WORDS, low)) {
      if (["control", "data"].includes(low) && ["frame", "frames"].includes(this.following())) this.n += 1;
      return [...QUERY_WORDS[low]];
    }
    const size = QUERY_SIZE.exec(low);
    if (size) return ["size", size[1], Number(size[2])];
    const colon = low.indexOf(":"), key = low.slice(0, colon);
    if (colon >= 0 && Object.hasOwn(QUERY_KEYS, key)) {
      const wanted = low.slice(colon + 1).split(",").filter(Boolean).map((one) => [QUERY_KEYS[key], one]);
      if (!wanted.length) throw new QueryError(`${key}: of what`, place + value.length);
      return wanted.length === 1 ? wanted[0] : ["or", ...wanted];
    }
    return ["text", low];
  }
  following() {
    return this.next === "word" ? this.tokens[this.n][1].toLowerCase() : "";
  }
}

// A test of one tick or mark: what it says is looked at once per word, not once per frame.
function queryTest(tree, store) {
  const [what, ...rest] = tree;
  const perWord = (fits) => {
    const known = new Map();
    return (item) => {
      const key = item.word * 256 + item.kind;
      if (!known.has(key)) known.set(key, fits(`${store.kinds[item.kind]} ${store.words[item.word] ?? ""}`));
      return known.get(key);
    };
  };
  const parts = () => rest.map((part) => queryTest(part, store));
  const perKind = (pattern) => {
    const fits = store.kinds.map((name) => pattern.test(name));
    return (item) => fits[item.kind];
  };
  if (what === "and") return ((all) => (item) => all.every((one) => one(item)))(parts());
  if (what === "or") return ((all) => (item) => all.some((one) => one(item)))(parts());
  if (what === "not") return ((one) => (item) => !one(item))(parts()[0]);
  if (what === "text") return perWord((words) => words.toLowerCase().includes(rest[0]));
  if (what === "regex") return perWord(((pattern) => (words) => pattern.test(words))(new RegExp(rest[0], "is")));
  if (what === "direction") return perKind(rest[0] === "sent" ? SENT_KIND : RECEIVED_KIND);
  if (what === "control") return perKind(CONTROL_KIND);
  if (what === "data") return perKind(/^Frame(Sent|Received)$/);
  if (what === "type") {
    const escaped = rest[0].split("*").map((part) => part.replace(/[\\^$.|?+()[\]{}]/g, "\\$&")).join(".*");
    const whole = new RegExp(`^${escaped}$`, "is"), word = new RegExp(`^(sent|received) (application )?${escaped}$`, "is");
    return perWord((words) => {
      const [kind, ...said] = words.split(" ");
      return whole.test(kind) || (kind.startsWith("Frame") && word.test(said.join(" ")));
    });
  }
  if (what === "connection") {
    const codes = new Set(store.lanes.filter((lane) => lane.title.toLowerCase() === `connection ${rest[0]}`).map((lane) => lane.code));
    return (item) => codes.has(item.lane);
  }
  const compare = { ">": (a, b) => a > b, ">=": (a, b) => a >= b, "<": (a, b) => a < b, "<=": (a, b) => a <= b, "=": (a, b) => a === b };
  return (item) => item.size >= 0 && compare[rest[0]](item.size, rest[1]);
}

// One bit for each row that fits, and how many these are.
export function queryBits(tree, store) {
  const test = queryTest(tree, store);
  const bits = new Uint8Array(Math.ceil(store.events / 8) + 1);
  const sent = store.kinds.indexOf("FrameSent"), received = store.kinds.indexOf("FrameReceived");
  const item = { word: 0, kind: 0, lane: 0, size: -1 };
  const look = (table, kindOf, sizeOf) => {
    const { row, word, lane } = table.columns;
    for (let i = 0; i < table.length; i++) {
      item.word = word[i];
      item.lane = lane[i];
      item.kind = kindOf(i);
      item.size = sizeOf(i);
      if (test(item)) bits[row[i] >> 3] |= 1 << (row[i] & 7);
    }
  };
  const { ticks, marks } = store;
  look(ticks, (i) => (ticks.columns.up[i] > 0 ? received : sent), (i) => ticks.columns.size[i]);
  look(marks, (i) => marks.columns.kind[i], () => -1);
  let count = 0;
  for (const byte of bits) for (let rest = byte; rest; rest &= rest - 1) count += 1;
  return { bits, count };
}
