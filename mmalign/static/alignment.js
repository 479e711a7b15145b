// Sliders over transport plans: live in Jupyter (anywidget) and on the still pages of the book, from this one file.
// The solver is that of mmalign.transport: the same start, the same sweeps, the same stopping rule, in float64.

// ---- the algorithm ---------------------------------------------------------------------------------------------

// Entropic transport inside a window. cost: l rows of l numbers; cells further than `window` apart stay exactly 0.
export function solve(cost, window, mu, tol, maxSweeps) {
  const l = cost.length, logShare = -Math.log(l);
  const kernel = cost.map((row) => row.map((value) => -value / mu));                 // log K, Eq. 9
  const near = span(0, l).map((i) => span(Math.max(0, i - window), Math.min(l, i + window + 1)));

  let f, g = near.map(() => 0);                                                       // log u, log v
  let sweeps = 0;
  for (; sweeps < maxSweeps; sweeps++) {
    const rows = near.map((columns, i) => logShare - logSumExp(columns, (j) => kernel[i][j] + g[j]));
    // Before this update the row sums are off by the factor exp(f - rows).
    if (sweeps && tol > 0 && highest(span(0, l), (i) => Math.abs(Math.expm1(f[i] - rows[i]))) <= tol) break;
    f = rows;
    g = near.map((rows, j) => logShare - logSumExp(rows, (i) => kernel[i][j] + f[i]));
  }
  const plan = cost.map((row) => row.map(() => 0));
  near.forEach((columns, i) => columns.forEach((j) => { plan[i][j] = Math.exp(kernel[i][j] + f[i] + g[j]); }));
  const result = measure(plan, cost);
  return { ...result, sweeps, converged: !(result.gap > tol) };
}

// Each row spreads its share by itself: right row sums, whatever column sums.
export function solveOneSided(cost, window, mu) {
  const l = cost.length;
  const plan = cost.map((row, i) => {
    const total = logSumExp(span(Math.max(0, i - window), Math.min(l, i + window + 1)), (j) => -row[j] / mu);
    return row.map((value, j) => (Math.abs(i - j) <= window ? Math.exp(-value / mu - total) / l : 0));
  });
  return measure(plan, cost);
}

// What a plan says about itself.
function measure(plan, cost) {
  const l = plan.length;
  const rows = plan.map(sum), columns = plan.map((_, j) => sum(plan.map((row) => row[j])));
  const over = (term) => sum(plan.map((row, i) => sum(row.map((mass, j) => (mass > 0 ? term(mass, i, j) : 0)))));
  return {
    plan, rows, columns,
    cost: over((mass, i, j) => mass * cost[i][j]),
    entropy: over((mass) => -mass * Math.log(mass)),
    gap: Math.max(...[...rows, ...columns].map((side) => Math.abs(l * side - 1))),
    displacement: over((mass, i, j) => mass * (j - i)),
    on: (cells) => sum(cells.map(([i, j]) => plan[i][j])),
  };
}

const span = (from, to) => Array.from({ length: to - from }, (_, k) => from + k);
const sum = (values) => values.reduce((total, value) => total + value, 0);
function highest(places, term) {
  let top = -Infinity;
  for (const place of places) top = Math.max(top, term(place));
  return top;
}
function logSumExp(places, term) {
  const top = highest(places, term);
  let total = 0;
  for (const place of places) total += Math.exp(term(place) - top);
  return top + Math.log(total);
}

// ---- the two widgets -------------------------------------------------------------------------------------------

const MU = { name: "mu", label: "entropy μ", least: -3, most: 1, step: 0.01,              // a log scale
  toSlider: Math.log10, toModel: (place) => Number((10 ** place).toPrecision(3)), unit: "" };
const steps = (name, label, least, most) => ({ name, label, least, most, step: 1,
  toSlider: Number, toModel: Number, unit: "steps" });

const KINDS = {
  // One plan of one of several pairs of sequences.
  window: {
    title: "Sliders: how a plan changes with the window and the entropy",
    sliders: (state) => [steps("window", "window W", 0, Math.max(...state("pairs").map((pair) => pair.cost.length)) - 1), MU],
    plans(state) {
      const { name, cost, match } = state("pairs")[state("pair")];
      const cells = match && match.map((i, j) => [i, j]);
      const plan = solve(cost, state("window"), state("mu"), state("tol"), state("max_sweeps"));
      return [{ title: name, window: state("window"), cells, ...plan, facts: {
        cost: plan.cost, "entropy (nats)": plan.entropy, "marginal gap": plan.gap, sweeps: plan.sweeps,
        ...(cells && { "mass on the truth": plan.on(cells) }) } }];
    },
  },
  // A constant lag, answered by a balanced plan and by a one-sided one.
  lag: {
    title: "Sliders: a constant lag, seen by a balanced and by a one-sided plan",
    sliders: (state) => [steps("lag", "lag", -state("reach"), state("reach")),
      steps("window", "window W", 0, state("cost").length - 1), MU],
    plans(state) {
      const lag = state("lag"), reach = state("reach"), window = state("window"), mu = state("mu");
      const cost = state("cost").map((row) => row.slice(reach - lag, reach - lag + state("cost").length));
      const cells = span(0, cost.length).map((i) => [i, i + lag]).filter(([, j]) => j >= 0 && j < cost.length);
      const facts = (plan) => ({ cost: plan.cost, "mean displacement": plan.displacement,
        "mass on the lag": plan.on(cells), "marginal gap": plan.gap });
      const balanced = solve(cost, window, mu, state("tol"), state("max_sweeps"));
      const free = solveOneSided(cost, window, mu);
      return [
        { title: "balanced plan", window, cells, ...balanced, facts: { ...facts(balanced), sweeps: balanced.sweeps } },
        { title: "one-sided plan", window, cells, ...free, facts: facts(free) },
      ];
    },
  },
};

// ---- the page --------------------------------------------------------------------------------------------------

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const short = (value) => String(Number(value.toPrecision(4)));

function makeSlider(model, { name, label, least, most, step, toSlider, toModel, unit }) {
  const input = make("input", { type: "range", name, min: least, max: most, step });
  const shown = make("output");
  const show = () => {
    input.value = toSlider(model.get(name));
    shown.textContent = short(model.get(name));
    input.setAttribute("aria-valuetext", `${shown.textContent} ${unit}`.trim());
  };
  input.addEventListener("input", () => {
    model.set(name, toModel(Number(input.value)));
    model.save_changes();
  });
  input.addEventListener("keydown", (event) => event.stopPropagation());   // JupyterLab would take the arrow keys
  return { names: [name], element: make("label", {}, make("span", {}, label), input, shown), show };
}

function makeChoice(model) {
  const options = model.get("pairs").map((pair, index) => make("option", { value: index }, pair.name));
  const input = make("select", { name: "pair" }, ...options);
  input.addEventListener("change", () => {
    model.set("pair", Number(input.value));
    model.save_changes();
  });
  input.addEventListener("keydown", (event) => event.stopPropagation());
  return { names: ["pair"], element: make("label", {}, make("span", {}, "sequences"), input),
    show: () => { input.value = model.get("pair"); } };
}

const CIVIDIS = [[0, 34, 78], [26, 56, 111], [67, 78, 108], [97, 101, 111], [125, 124, 120],
  [155, 148, 118], [188, 174, 108], [222, 201, 88], [254, 232, 56]];   // eighths of matplotlib's
function colour(share) {
  const place = Math.min(Math.max(share, 0), 1) * (CIVIDIS.length - 1), left = Math.min(Math.floor(place), CIVIDIS.length - 2);
  const mix = CIVIDIS[left].map((part, k) => Math.round(part + (place - left) * (CIVIDIS[left + 1][k] - part)));
  return `rgb(${mix})`;
}

const SIDE = 560, STRIP = 72, GAP = 8, INK = "#7a7a7a";   // in the canvas's own pixels; the page shows it at half size

// The matrix; above it the column sums, to its right the row sums, each with a line at its target 1/l.
function draw(canvas, { plan, rows, columns, window, cells }) {
  const pen = canvas.getContext("2d"), l = plan.length, top = STRIP + GAP, edge = (k) => Math.round((k * SIDE) / l);
  const bar = (side) => Math.min(l * side, 2) * STRIP / 2;
  pen.clearRect(0, 0, canvas.width, canvas.height);
  for (let i = 0; i < l; i++) {
    for (let j = Math.max(0, i - window); j < Math.min(l, i + window + 1); j++) {
      pen.fillStyle = colour(l * plan[i][j]);
      pen.fillRect(edge(j), top + edge(i), edge(j + 1) - edge(j), edge(i + 1) - edge(i));
    }
  }
  pen.fillStyle = INK;
  for (let k = 0; k < l; k++) {
    const width = edge(k + 1) - edge(k) - 2;
    pen.fillRect(edge(k) + 1, STRIP - bar(columns[k]), width, bar(columns[k]));
    pen.fillRect(SIDE + GAP, top + edge(k) + 1, bar(rows[k]), width);
  }
  pen.strokeStyle = "#D55E00";
  pen.lineWidth = 2;
  pen.strokeRect(-4, STRIP / 2, SIDE + 4, 0);
  pen.strokeRect(SIDE + GAP + STRIP / 2, top, 0, SIDE);
  pen.strokeStyle = INK;
  pen.strokeRect(1, top + 1, SIDE - 2, SIDE - 2);
  for (const [i, j] of cells ?? []) {
    for (const [style, width] of [["#000", 6], ["#fff", 3]]) {   // seen on every ground
      pen.strokeStyle = style;
      pen.lineWidth = width;
      pen.beginPath();
      pen.arc((edge(j) + edge(j + 1)) / 2, top + (edge(i) + edge(i + 1)) / 2, SIDE / l / 4, 0, 7);
      pen.stroke();
    }
  }
}

function makePanel(title) {
  const canvas = make("canvas", { width: SIDE + GAP + STRIP, height: SIDE + GAP + STRIP, role: "img" });
  const facts = make("dl"), warning = make("p", { class: "mmalign-warning" });
  const caption = make("figcaption");
  const element = make("figure", {},
    caption,
    make("div", { class: "mmalign-columns" }, "step of the victim →"),
    make("div", { class: "mmalign-picture" }, make("div", { class: "mmalign-rows" }, "← step of the visible sequence"), canvas),
    make("div", { role: "status", "aria-live": "polite", "aria-atomic": "true", "aria-label": `read-outs: ${title}` }, facts, warning));
  return { element, show(result) {
    caption.textContent = result.title;
    draw(canvas, result);
    canvas.setAttribute("aria-label", `${result.title}: ${result.plan.length} by ${result.plan.length} matrix, `
      + `mass up to ${result.window} steps off the diagonal` + (result.cells ? "; rings mark the true match" : ""));
    facts.replaceChildren(...Object.entries(result.facts).map(([name, value]) => make("div", {},
      make("dt", {}, name), make("dd", {}, make("data", { value, "data-name": name }, short(value))))));
    warning.textContent = result.converged === false
      ? `⚠ not converged: after ${result.sweeps} sweeps a marginal is still off by ${short(100 * result.gap)} %` : "";
  } };
}

function render({ model, el }) {
  const kind = KINDS[model.get("kind")], state = (name) => model.get(name);
  const choices = [...(state("pairs")?.length > 1 ? [makeChoice(model)] : []),
    ...kind.sliders(state).map((slider) => makeSlider(model, slider))];
  const panels = kind.plans(state).map((plan) => makePanel(plan.title));
  const update = () => {
    choices.forEach((choice) => choice.show());
    kind.plans(state).forEach((plan, index) => panels[index].show(plan));
  };
  el.append(make("div", { class: "mmalign-alignment", role: "group", "aria-label": kind.title },
    make("div", { class: "mmalign-controls" }, ...choices.map((choice) => choice.element)),
    make("div", { class: "mmalign-panels" }, ...panels.map((panel) => panel.element)),
    make("p", { class: "mmalign-legend" }, make("span", { class: "mmalign-scale" }, ""),
      "mass of a cell, from 0 to 1/l · bars: row and column sums, line: their target 1/l · ring: true match")));
  update();
  const events = choices.flatMap((choice) => choice.names).map((name) => `change:${name}`);
  events.forEach((event) => model.on(event, update));
  return () => events.forEach((event) => model.off(event, update));
}

export default { render };
