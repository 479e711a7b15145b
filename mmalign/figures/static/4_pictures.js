// What each picture holds: its controls, and the panels that follow from the state. One entry a picture.

const slider = (name, label, least, most, step, unit = "") => ({ name, label, least, most, step, unit,
  toSlider: Number, toModel: Number, ticks: [[least, short(least)], [most, short(most)]] });
const steps = (name, label, least, most) => ({ ...slider(name, label, least, most, 1, "steps"),
  ticks: span(least, most + 1).filter((k) => k % Math.max(1, Math.ceil((most - least) / 6)) === 0).map((k) => [k, short(k)]) });
const MU = { name: "mu", label: "entropy μ (cost units)", least: -3, most: 1, step: 0.01,              // a log scale
  toSlider: Math.log10, toModel: (place) => Number((10 ** place).toPrecision(3)), unit: "",
  ticks: [-3, -2, -1, 0, 1].map((power) => [power, short(10 ** power)]) };
const choice = (name, label, options) => ({ name, label, options });                     // options: value and words

const key = (look, words) => make("span", { class: "mmalign-key" }, make("span", { style: look }), words);
const filled = (shade) => `background-color: ${shade}`;
const plans = (...more) => {   // boxes first, then words
  const words = more.filter((one) => typeof one === "string"), boxes = more.filter((one) => typeof one !== "string");
  return [key(filled(PALETTE.visible), "visible"), key(filled(PALETTE.victim), "victim"), ...boxes,
    make("span", { class: "mmalign-scale" }, ""),
    ["share of a step, from 0 to 1 · grey bars: row and column sums, line: their target", ...words].join(" ")];
};

const warn = ({ converged, gap }, tol) => (converged !== false ? ""
  : gap < 2 * tol ? `All but converged: a row or column sum is off by ${percent(gap)}, the tolerance is ${percent(tol)}.`
    : `⚠ Not converged: a row or column sum is still off by ${percent(gap)}. Take a larger μ.`);

// Read-outs in plain words, by their names: what is shown, and what it means. Values stay exact underneath.
const exactly = (share) => (Math.abs(share) < 1e-9 ? "0 %" : percent(share));
const TOLD = {
  "mass on the truth": [percent, "of the mass lies on true partners"],
  "mass on the lag": [percent, "of the mass lies on the true lag"],
  "mean displacement": [(value) => `${value.toFixed(1).replace("-0.0", "0.0").replace("-", "−")} steps`, "later, on average, is where the mass goes"],
  "entropy (nats)": [short, "nats of entropy: how undecided the plan is"],
  partners: [short, "partners a step, in effect"],
  cost: [short, "is what a match costs on average (0 alike, 2 opposite)"],
  "marginal gap": [exactly, "is the largest error of a row or column sum"],
  sweeps: [short, "sweeps were made"],
  "rows off by": [exactly, "is the largest error of a row sum"],
  "columns off by": [exactly, "is the largest error of a column sum"],
  "sweeps to tolerance": [short, "sweeps bring the error under the tolerance"],
  "imputed value": [short, "is what the mixture says"],
  "true value": [short, "is the truth"],
  error: [short, "is the difference"],
  "sum of the weights": [short, "is the sum of the weights"],
  "heaviest step": [short, "is the visible step that counts most"],
  "its weight": [percent, "is its weight"],
  "fused answer": [short, "is the fused answer"],
  "its probability": [percent, "is how sure it is"],
  "true class": [String, "is the true class"],
};
const partners = (plan) => Math.exp(plan.entropy) / plan.plan.length;   // e to the entropy of a row

const KINDS = {
  get claims() { return CLAIMS; },
  get story() { return STORY; },
  get playground() { return PLAYGROUND; },
  get attention() { return LESSONS.attention; },
  get epochs() { return LESSONS.epochs; },
  get released() { return LESSONS.released; },
  get price() { return LESSONS.price; },
  get map() { return LESSONS.map; },

  // One plan of one of several pairs of sequences.
  window: {
    title: "Sliders: how a plan changes with the window and the entropy",
    controls: (state) => [
      ...(state("pairs").length > 1 ? [choice("pair", "sequences", state("pairs").map(({ name }, place) => [place, name]))] : []),
      steps("window", "window W", 0, Math.max(...state("pairs").map((pair) => pair.cost.length)) - 1), MU],
    presets: [["only the diagonal", { window: 0 }], ["sharp", { mu: 0.02 }], ["blurred", { mu: 2 }]],
    play: "window",
    // The window that puts most mass on the truth, at this entropy.
    best(state) {
      const { cost, match } = state("pairs")[state("pair")];
      if (!match) return null;
      const cells = match.map((i, j) => [i, j]);
      const found = cost.map((_, window) => solve(cost, window, state("mu"), state("tol"), state("max_sweeps")).on(cells));
      return ["window", found.indexOf(Math.max(...found))];
    },
    legend: (state) => plans(state("pairs").some(({ match }) => match) ? " · ring: true partners" : ""),
    panels(state) {
      const { name, cost, match, visible, victim } = state("pairs")[state("pair")];
      const cells = match && match.map((i, j) => [i, j]);
      const plan = solve(cost, state("window"), state("mu"), state("tol"), state("max_sweeps"));
      return [{ sort: PLAN, title: name, window: state("window"), cells, costs: cost, visible, victim, ...plan,
        warning: warn(plan, state("tol")), facts: {
          ...(cells && { "mass on the truth": plan.on(cells) }), partners: partners(plan), cost: plan.cost,
          "marginal gap": plan.gap, sweeps: plan.sweeps, "entropy (nats)": plan.entropy } }];
    },
  },

  // A constant lag, answered by a balanced plan and by a one-sided one.
  lag: {
    title: "Sliders: a constant lag, seen by a balanced and by a one-sided plan",
    controls: (state) => [steps("lag", "lag", -state("reach"), state("reach")),
      steps("window", "window W", 0, state("cost").length - 1), MU],
    presets: [["no lag", { lag: 0 }], ["3 steps late", { lag: 3 }], ["3 steps early", { lag: -3 }]],
    play: "lag",
    legend: () => plans(" · ring: true partners"),
    panels(state) {
      const lag = state("lag"), reach = state("reach"), window = state("window"), mu = state("mu"), along = state("along");
      const seen = { visible: along.slice(reach, along.length - reach), victim: along.slice(reach - lag, along.length - reach - lag) };
      const cost = state("cost").map((row) => row.slice(reach - lag, reach - lag + state("cost").length));
      const cells = span(0, cost.length).map((i) => [i, i + lag]).filter(([, j]) => j >= 0 && j < cost.length);
      const outside = Math.abs(lag) > window ? `⚠ The lag of ${lag} lies outside of the window: no plan can reach it. ` : "";
      const facts = (plan) => ({ "mass on the lag": plan.on(cells), "mean displacement": plan.displacement,
        cost: plan.cost, "marginal gap": plan.gap });
      const balanced = solve(cost, window, mu, state("tol"), state("max_sweeps"));
      const free = solveOneSided(cost, window, mu);
      return [
        { sort: PLAN, title: "balanced plan", window, cells, costs: cost, ...seen, ...balanced,
          warning: outside + warn(balanced, state("tol")), facts: { ...facts(balanced), sweeps: balanced.sweeps } },
        { sort: PLAN, title: "one-sided plan", window, cells, costs: cost, ...seen, ...free, warning: outside, facts: facts(free) },
      ];
    },
  },

  // A plan on its way: what so many sweeps have made of it.
  sweeps: {
    title: "Sliders: Sinkhorn, sweep by sweep",
    controls: (state) => [{ ...steps("sweeps", "sweeps", 1, state("most")), unit: "sweeps" }, MU,
      steps("window", "window W", 0, state("cost").length - 1)],
    presets: [["one sweep", { sweeps: 1 }], ["sharp: slow", { mu: 0.03 }], ["blurred: quick", { mu: 1 }]],
    play: "sweeps",
    legend: (state) => plans(` · dashed: the package's tolerance, ${percent(state("tol"))}`),
    panels(state) {
      const cost = state("cost"), window = state("window"), mu = state("mu"), now = state("sweeps"), most = state("most");
      const plan = solve(cost, window, mu, 0, now), { gaps } = solve(cost, window, mu, 0, most);
      const first = gaps.findIndex((gap) => gap <= state("tol")) + 1, least = 1e-6;
      const seen = gaps.map((gap, place) => [place + 1, Math.max(gap, least)]);
      const told = (points, x, y) => points.map(([sweep, gap]) => [x(sweep), y(gap)]);
      return [
        { sort: PLAN, title: now > 1 ? `after ${now} sweeps` : "after 1 sweep", window, of: ["x", "y"], costs: cost, visible: state("visible"), victim: state("victim"), ...plan, facts: {
          "rows off by": plan.rowGap, "columns off by": plan.columnGap, cost: plan.cost } },
        { sort: CHART, title: "error of the sums after each sweep",
          told: `falls from ${percent(gaps[0])} to ${percent(gaps.at(-1))} at sweep ${most}; sweep ${now} is marked`,
          x: { label: "sweeps", least: 0, most, ticks: ticks(...[0, 1, 2, 3, 4].map((k) => Math.round((k * most) / 4))) },
          y: { label: "largest error of a sum", least, most: 10, log: true,
            ticks: [[1e-6, "0.0001 %"], [1e-4, "0.01 %"], [1e-2, "1 %"], [1, "100 %"]] },
          marks: (x, y) => [
            stroke(x(0), y(state("tol")), x(most), y(state("tol")), { "stroke-dasharray": "5 4" }),
            stroke(x(now), y(least), x(now), y(10), { "stroke-dasharray": "2 3" }),
            path(told(seen, x, y), { stroke: INK }),
            path(told(seen.filter(([sweep]) => sweep <= now), x, y), { stroke: "currentColor", "stroke-width": 3 }),
            ...told(seen.filter(([sweep]) => sweep === now), x, y).map((place) => dot(place, 6, { fill: "currentColor" })),
          ],
          facts: { "marginal gap": gaps[now - 1], "sweeps to tolerance": first || `more than ${most}` } },
      ];
    },
  },

  // One step of a stand-in: what is mixed into it, and with which weights.
  decoding: {
    title: "Sliders: how one missing step is mixed from visible ones",
    controls(state) {
      const solved = () => "cost" in state("cases")[state("case")], l = state("visible").length;
      return [
        ...(state("cases").length > 1 ? [choice("case", "weights", state("cases").map(({ name }, place) => [place, name]))] : []),
        { ...slider("step", "step j", 0, l - 1, 1) },
        { ...steps("window", "window W", 0, l - 1), when: solved }, { ...MU, when: solved }];
    },
    play: "step",
    legend: () => [key(filled(PALETTE.visible), "visible sequence"), key(filled(PALETTE.victim), "true victim"),
      key(filled(PALETTE.imagined), "imagined"), "· ring: a step that is mixed in, larger with its weight"],
    panels(state) {
      const visible = state("visible"), j = state("step"), l = visible.length;
      const { name, victim, cost, weights } = state("cases")[state("case")];
      const plan = cost && solve(cost, state("window"), state("mu"), state("tol"), state("max_sweeps"));
      const mixing = cost ? plan.plan.map((row) => row.map((mass) => l * mass)) : weights;   // rows visible, columns victim
      const imputed = visible.map((_, column) => sum(visible.map((value, i) => mixing[i][column] * value)));   // Eq. 13
      const into = mixing.map((row) => row[j]), heaviest = into.indexOf(Math.max(...into));
      const low = Math.floor(Math.min(...visible, ...victim)), high = Math.ceil(Math.max(...visible, ...victim));
      const levels = span(low, high + 1).filter((level) => level % Math.ceil((high - low) / 8) === 0);
      const every = { label: "step", least: -0.5, most: l - 0.5, ticks: ticks(...span(0, l).filter((i) => i % 2 === 0)) };
      const along = (values, x, y) => values.map((value, i) => [x(i), y(value)]);
      return [
        { sort: CHART, title: `step ${j} of the victim`, told: `visible, true and imputed sequence over ${l} steps; `
            + `at step ${j} imputed ${short(imputed[j])}, true ${short(victim[j])}`,
          x: every, y: { label: "value", least: low, most: high, ticks: ticks(...levels) },
          marks: (x, y) => [
            stroke(x(j), y(low), x(j), y(high), { "stroke-dasharray": "2 3" }),
            ...into.map((weight, i) => stroke(x(i), y(visible[i]), x(j), y(imputed[j]),
              { stroke: PALETTE.visible, "stroke-width": 5 * weight, "stroke-opacity": weight > 0.01 ? 0.5 : 0 })),
            path(along(victim, x, y), { stroke: PALETTE.victim, "stroke-dasharray": "6 4" }),
            path(along(imputed, x, y), { stroke: PALETTE.imagined }),
            path(along(visible, x, y), { stroke: PALETTE.visible, "stroke-width": 1 }),
            ...along(visible, x, y).map((place) => dot(place, 3, { fill: PALETTE.visible })),
            ...along(visible, x, y).map((place, i) => dot(place, 14 * Math.sqrt(into[i]),
              { fill: "none", stroke: PALETTE.visible, "stroke-width": 2, "stroke-opacity": into[i] > 0.01 ? 1 : 0 })),
            dot([x(j), y(victim[j])], 6, { fill: PALETTE.victim }), dot([x(j), y(imputed[j])], 6, { fill: PALETTE.imagined }),
          ],
          warning: plan ? warn(plan, state("tol")) : "",
          facts: { error: imputed[j] - victim[j], "imputed value": imputed[j], "true value": victim[j] } },
        { sort: CHART, title: "weights of the visible steps", told: `${name}: heaviest is step ${heaviest}`,
          x: { ...every, label: "step of the visible sequence" },
          y: { label: "weight", least: 0, most: Math.max(1, ...into), ticks: ticks(0, 0.5, 1) },
          marks: (x, y) => [stroke(x(j), y(0), x(j), HEAD, { "stroke-dasharray": "2 3" }),
            ...into.map((weight, i) => bar(x, y, i, 0.8 * (x(1) - x(0)), weight, { fill: PALETTE.visible }))],
          facts: { "heaviest step": heaviest, "its weight": into[heaviest], "sum of the weights": sum(into) } },
      ];
    },
  },

  // Who lacks what, as the survival rate moves.
  missing: {
    title: "Sliders: who has lost the victim, in setting A and in setting B",
    controls: () => [choice("setting", "setting", [["A", "A: test without victims"],
      ["B", "B: test as in training"]]), slider("survival", "survival p", 0.01, 1, 0.01)],
    presets: [["a tenth", { survival: 0.1 }], ["half", { survival: 0.5 }], ["all", { survival: 1 }]],
    play: "survival",
    legend: () => [key(filled(PALETTE.visible), "visible sequence"), key(filled(PALETTE.victim), "victim, there"),
      key(`background: none; border: 1px solid ${INK}`, "victim, gone"), "· a column of two boxes: one sample"],
    panels(state) {
      const parts = state("parts").map(({ name, places }) => {
        const share = name === "train" || state("setting") === "B" ? state("survival") : 0;
        const stay = Math.floor(share * places.length + 1e-9);                        // 0.29 * 100 is 28.999...
        return { name, keeps: places.map((place) => place < stay), stay };
      });
      return [{ sort: SAMPLES, title: `setting ${state("setting")}`, parts, beside: true,
        warning: parts[0].stay ? "" : "⚠ no training sample keeps its victim: nothing can be learnt about it",
        facts: Object.fromEntries(parts.flatMap(({ name, keeps, stay }) => [
          [`${name}: complete`, stay], [`${name}: victim gone`, keeps.length - stay]])) }];
    },
  },

  // Who is surer counts more.
  entropy: {
    title: "Sliders: how sure each modality is, and what it then counts",
    controls(state) {
      const [one, other] = state("names");
      return [slider("first", `${one} logits ×`, 0, 5, 0.1), slider("second", `${other} logits ×`, 0, 5, 0.1),
        choice("absent", "absent", [["none", "none"], [one, one], [other, other]])];
    },
    presets: [["equally sure", { first: 1, second: 1 }], ["first undecided", { first: 0, second: 2 }]],
    play: "first",
    legend: (state) => [key(filled(PALETTE.visible), state("names")[0]), key(filled(PALETTE.victim), state("names")[1]),
      key(filled(PALETTE.neighbour), "fused"), "· dashed: the bound of a weight, K/(K+1) for K classes, where both are there"],
    panels(state) {
      const names = state("names"), classes = state("classes"), K = classes.length;
      const outputs = state("logits").map((row, m) => row.map((value) => value * state(["first", "second"][m])));
      const present = names.map((name) => name !== state("absent"));
      const entropies = outputs.map((row) => -sum(softmax(row).map((q) => (q > 0 ? q * Math.log(q) : 0))));
      const weights = softmax(entropies.map((entropy, m) => (present[m] ? -entropy : -Infinity)));
      const fused = classes.map((_, k) => sum(outputs.map((row, m) => weights[m] * row[k])));
      const shares = [...outputs, fused].map(softmax), answer = fused.indexOf(Math.max(...fused));
      const shades = [PALETTE.visible, PALETTE.victim, PALETTE.neighbour], bound = K / (K + 1), truth = state("truth");
      return [
        { sort: CHART, title: "probabilities", told: [...names, "fused"].map((name, m) =>
            (present[m] ?? true ? `${name} ${shares[m].map(short).join(", ")}` : `${name} is absent`)).join("; "),
          x: { label: "class", least: -0.5, most: K - 0.5, ticks: classes.map((name, k) => [k, name === truth ? `${name} ✓` : name]) },
          y: { label: "probability", least: 0, most: 1, ticks: ticks(0, 0.5, 1) },
          marks: (x, y) => shares.flatMap((row, m) => (present[m] ?? true ? row.map((q, k) =>
            bar(x, y, k + 0.25 * (m - 1), 0.22 * (x(1) - x(0)), q, { fill: shades[m] })) : [])),
          facts: { "fused answer": classes[answer], ...(truth ? { "true class": `${truth} ✓` } : {}), "its probability": shares[2][answer],
            ...Object.fromEntries(names.map((name, m) => [`entropy of ${name} (nats)`, present[m] ? entropies[m] : "absent"])) } },
        { sort: CHART, title: "weights", told: names.map((name, m) => `${name} ${short(weights[m])}`).join(", "),
          x: { label: "modality", least: -0.5, most: 1.5, ticks: names.map((name, m) => [m, name]) },
          y: { label: "weight", least: 0, most: 1, ticks: ticks(0, 0.5, 1) },
          marks: (x, y) => [
            ...weights.map((weight, m) => bar(x, y, m, 0.5 * (x(1) - x(0)), weight, { fill: shades[m] })),
            ...(present.every(Boolean) ? [stroke(x(-0.5), y(bound), x(1.5), y(bound), { "stroke-dasharray": "5 4" }),
              text(x(1.5), y(bound) - 5, "end", `no weight passes ${short(bound)}`)] : [])],
          facts: { [`weight of ${names[0]}`]: weights[0], [`weight of ${names[1]}`]: weights[1] } },
      ];
    },
  },
};
