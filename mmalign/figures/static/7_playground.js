// Your own pair of sequences: planted, a word as it is written and spoken, or two sensors of a watch.

function dice(seed) {                     // the same numbers for the same seed, in every browser (mulberry32)
  let a = seed >>> 0;
  const next = () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return { next, normal: () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()) };
}

const cosine = (x, y) => sum(x.map((value, d) => value * y[d])) / Math.sqrt(sum(x.map((v) => v * v)) * sum(y.map((v) => v * v)) || 1);
const ORDERS = {   // which visible step each step of the victim shows; below 0: none
  "out of order": (l, { next }) => span(0, l).map((j) => [Math.floor(j / 3) + next(), j]).sort((a, b) => a[0] - b[0]).map(([, j]) => j),
  "a constant lag": (l, _, lag) => span(0, l).map((j) => (j - lag >= 0 && j - lag < l ? j - lag : -1)),
  "a clock that drifts": (l, _, lag) => span(0, l).map((j) => { const i = Math.round(j - (lag * j) / (l - 1)); return i >= 0 && i < l ? i : -1; }),
  "steps repeated": (l, { next }) => { let i = 0; return span(0, l).map(() => {   // and as many left out
    const here = i, luck = next();
    i = Math.min(l - 1, i + (luck < 0.25 ? 0 : luck > 0.75 ? 2 : 1));
    return here;
  }); },
};

// ---- a pad to draw a sequence on: by pointer, or by arrow keys (left and right choose a step, up and down move it) ------

const LEVELS = 9, FEWEST = 2, LONGEST = 24;   // heights from 0 to 9: a sequence is a word of digits, short in the address

function makePad(model, { name, label, pad: role }) {
  const wide = 352, high = 96, svg = shape("svg", { viewBox: `0 0 ${wide} ${high}`, class: "mm-pad", role: "slider", tabindex: "0",
    "aria-label": label, "aria-valuemin": "0", "aria-valuemax": String(LEVELS) });
  let at = 0, last = null;
  const levels = () => [...model.get(name)].map(Number), x = (k, l) => ((k + 0.5) * wide) / l, y = (level) => high - 8 - (level * (high - 16)) / LEVELS;
  const put = (values) => { model.set(name, values.join("")); model.save_changes(); };
  const raise = (from, to, level) => put(levels().map((old, k) => (k >= from && k <= to ? Math.min(LEVELS, Math.max(0, level)) : old)));
  const touch = (event) => {
    const box = svg.getBoundingClientRect(), l = levels().length;
    at = Math.min(l - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * l)));
    const level = Math.round(LEVELS * (1 - (((event.clientY - box.top) / box.height) * high - 8) / (high - 16)));
    raise(Math.min(at, last ?? at), Math.max(at, last ?? at), level);   // a quick stroke leaves out no step
    last = at;
  };
  svg.addEventListener("pointerdown", (event) => { svg.setPointerCapture(event.pointerId); last = null; touch(event); });
  svg.addEventListener("pointermove", (event) => { if (svg.hasPointerCapture(event.pointerId)) touch(event); });
  svg.addEventListener("keydown", (event) => {
    const [move, rise] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key] ?? [];
    if (move === undefined) return;
    event.preventDefault();
    const values = levels();
    at = Math.min(values.length - 1, Math.max(0, at + move));
    if (rise) raise(at, at, values[at] + rise);
    else control.show();
  });
  const grow = (words, told, change) => {
    const button = make("button", { type: "button", "aria-label": `${told}: ${label}` }, words);
    button.addEventListener("click", () => { const values = change(levels()); if (values.length >= FEWEST && values.length <= LONGEST) put(values); });
    return button;
  };
  const control = { input: svg, mark() {},
    element: make("div", { class: "mm-drawn" }, make("span", {}, label), svg, grow("−", "one step less", (values) => values.slice(0, -1)),
      grow("+", "one step more", (values) => [...values, values.at(-1)])),
    show() {
      const values = levels(), l = values.length;
      at = Math.min(at, l - 1);
      svg.replaceChildren(path(values.map((level, k) => [x(k, l), y(level)]), { stroke: PALETTE[role] }),
        ...values.map((level, k) => dot([x(k, l), y(level)], k === at ? 7 : 4, { fill: PALETTE[role] })));
      svg.setAttribute("aria-valuenow", values[at]);
      svg.setAttribute("aria-valuetext", `step ${at + 1} of ${l}: height ${values[at]}`);
    } };
  return control;
}

const SOURCES = {
  planted(state) {
    const draw = dice(state("seed")), l = state("length"), lag = state("lag"), width = 8;
    const gauss = () => span(0, width).map(() => draw.normal());
    const order = ORDERS[state("order")](l, draw, lag), x = span(0, l).map(gauss);
    const y = order.map((i) => { const shown = i < 0 ? gauss() : x[i]; return shown.map((value) => value + state("noise") * draw.normal()); });
    return { name: `planted, ${state("order")}`, cost: x.map((step) => y.map((other) => 1 - cosine(step, other))),
      numeric: true, cells: order.map((i, j) => [i, j]).filter(([i]) => i >= 0), visible: x.map(([value]) => value), victim: y.map(([value]) => value) };
  },
  word(state) {
    const { letters: known, sounds: spoken, table } = state("spelling");
    const typed = [...state("letters").toLowerCase()].filter((letter) => known.includes(letter)).slice(0, 16);
    const said = state("sounds").toUpperCase().split(/[^A-Z]+/).filter((sound) => spoken.includes(sound)).slice(0, 16);
    const visible = typed.length ? typed : [known[0]], victim = said.length ? said : [spoken[0]];   // nothing typed yet
    return { name: `“${visible.join("")}” as ${victim.join(" ")}`, visible, victim,
      cost: visible.map((letter) => victim.map((sound) => 1 - table[known.indexOf(letter)][spoken.indexOf(sound)])) };
  },
  // A height is an angle: the cosine cost is 0 for equal heights and 2 from the floor to the ceiling.
  drawn(state) {
    const [visible, victim] = ["first", "second"].map((name) => [...state(name)].map(Number));
    return { name: "drawn by hand", visible, victim, numeric: true,
      cost: visible.map((one) => victim.map((other) => 1 - Math.cos((Math.PI * (one - other)) / LEVELS))) };
  },
  watch(state) {
    const { name, cost, visible, victim } = state("segments")[state("segment")];
    return { name: `watch, ${name}`, cost, visible, victim };
  },
};

const entry = (name, label) => ({ name, label, entry: true });
const pad = (name, label, role) => ({ name, label, pad: role });
const from = (...sources) => (state) => sources.includes(state("source"));

const PLAYGROUND = {
  title: "A playground: your own pair of sequences, and the plan between them",
  address: ["source", "order", "seed", "length", "noise", "lag", "letters", "sounds", "first", "second", "segment", "window", "mu", "sweeps", "way"],
  controls(state) {
    const only = (control, test) => ({ ...control, when: () => test(state), hide: true });
    const planted = from("planted");
    return [
      choice("source", "sequences", [["planted", "planted: the truth is known"], ["word", "a word: letters and sounds"], ["drawn", "drawn by your own hand"], ["watch", "a watch: two sensors"]]),
      only(choice("order", "order", Object.keys(ORDERS).map((name) => [name, name])), planted),
      only(slider("noise", "noise", 0, 2, 0.05), planted), only(steps("lag", "lag or drift", -6, 6), planted),
      only(steps("length", "length", 4, 24), planted), only({ ...slider("seed", "draw", 0, 50, 1), ticks: [[0, "0"], [50, "50"]] }, planted),
      only(entry("letters", "letters"), from("word")), only(entry("sounds", "sounds"), from("word")),
      only(pad("first", "visible sequence", "visible"), from("drawn")), only(pad("second", "victim", "victim"), from("drawn")),
      only(choice("segment", "segment", state("segments").map(({ name }, k) => [k, name])), from("watch")),
      steps("window", "window W", 0, 23), MU, { ...slider("sweeps", "sweeps", 1, 400, 1, "at most"), ticks: [1, 100, 200, 300, 400].map((k) => [k, short(k)]) },
      choice("way", "plan", [["balanced", "balanced: rows and columns"], ["one-sided", "one-sided: rows only"]]),
    ];
  },
  presets: [["a word", { source: "word" }], ["draw a pair", { source: "drawn" }], ["a lag that no plan holds", { source: "planted", order: "a constant lag", lag: 3, window: 4, mu: 0.05, way: "balanced", noise: 0.3 }],
    ["the same, one-sided", { source: "planted", order: "a constant lag", lag: 3, window: 4, mu: 0.05, way: "one-sided", noise: 0.3 }]],
  play: "sweeps",
  legend: () => plans(key(filled(PALETTE.imagined), "stand-in"), "· ring: true partners"),
  panels(state) {
    const pair = SOURCES[state("source")](state), window = state("window"), mu = state("mu");
    const balanced = state("way") === "balanced", plan = balanced ? solve(pair.cost, window, mu, state("tol"), state("sweeps")) : solveOneSided(pair.cost, window, mu);
    return [{ sort: PLAN, title: pair.name, window, cells: pair.cells, costs: pair.cost, visible: pair.visible, victim: pair.victim,
      imagined: pair.numeric ? mixed(plan.plan, pair.visible) : undefined, ...plan, warning: balanced ? warn(plan, state("tol")) : "",
      facts: { ...(pair.cells && { "mass on the truth": plan.on(pair.cells) }), partners: partners(plan), cost: plan.cost,
        "mean displacement": plan.displacement, "marginal gap": plan.gap, ...(balanced && { sweeps: plan.sweeps }) } }];
  },
};
