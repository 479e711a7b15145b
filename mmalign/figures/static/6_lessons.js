// Pictures of single chapters: what attention sees of time, a training epoch by epoch, what the released code computes,
// what unequal sums cost, and where a stand-in gains.

const wave = (place, d, width) => (d % 2 ? Math.cos : Math.sin)(place * Math.exp((d - (d % 2)) * (-Math.log(10000) / width)));
const dots = (x, y) => sum(x.map((value, d) => value * y[d]));
const letter = (k) => String.fromCharCode(65 + (k % 26));

// Where a head looks and what it reads, once the steps have been turned by `shift` places.
function attend({ steps: rows, query, values }, shift, positions, sharp) {
  const l = rows.length, width = query.length, order = span(0, l).map((place) => (place + l - shift) % l);
  const keys = order.map((k, place) => rows[k].map((value, d) => value + positions * wave(place + 1, d, width)));
  const weights = softmax(keys.map((row) => (sharp * dots(query, row)) / Math.sqrt(width)));
  return { order, weights, read: dots(weights, order.map((k) => values[k])) };
}

// The matrix of the released code in closed form: D^-1 S D with S the row softmax, cut to the window.
function solveReleased(cost, window, mu, barrier) {
  const l = cost.length;
  const S = cost.map((row, i) => softmax(row.map((value, j) => -(value + (Math.abs(i - j) > window ? barrier : 0)) / mu)));
  const d = span(0, l).map((j) => sum(S.map((row) => row[j])) / l);
  return measure(S.map((row, i) => row.map((share, j) => (Math.abs(i - j) > window ? 0 : (share * d[j]) / d[i] / l))), cost);
}

// Sums may miss their target, at the price rho: the same sweeps, each bent by rho / (rho + mu).
function solveUnequal(cost, window, mu, rho, sweeps) {
  const l = cost.length, bend = rho / (rho + mu), share = -Math.log(l);
  const kernel = cost.map((row) => row.map((value) => 2 * share - value / mu));
  const nearby = near(l, l, window);   // the same from either side
  let f = nearby.map(() => 0), g = f;
  for (let k = 0; k < sweeps; k++) {
    f = nearby.map((columns, i) => bend * (share - logSumExp(columns, (j) => kernel[i][j] + g[j])));
    g = nearby.map((rows, j) => bend * (share - logSumExp(rows, (i) => kernel[i][j] + f[i])));
  }
  return measure(cost.map((row, i) => row.map((_, j) => (Math.abs(i - j) > window ? 0 : Math.exp(kernel[i][j] + f[i] + g[j])))), cost);
}

const lagged = (state) => {   // as it is seen, and its copy that is `lag` steps late
  const lag = state("lag"), reach = state("reach"), along = state("along"), l = state("cost").length;
  const cost = state("cost").map((row) => row.slice(reach - lag, reach - lag + l));
  return { cost, cells: span(0, l).map((i) => [i, i + lag]).filter(([, j]) => j >= 0 && j < l),
    seen: { visible: along.slice(reach, along.length - reach), victim: along.slice(reach - lag, along.length - reach - lag) } };
};

// ---- gains as a table of cells: a row for each share of labels, a column for each share of pairs ----------------

const MAP = {
  make() {
    const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", class: "mm-map" });
    const drawing = { canvas: svg, element: svg };
    svg.addEventListener("pointerdown", (event) => {
      const box = svg.getBoundingClientRect(), { rows, columns, choose } = drawing.panel;
      const x = ((event.clientX - box.left) / box.width) * WIDTH, y = ((event.clientY - box.top) / box.height) * HEIGHT;
      const column = Math.floor(((x - LEFT) / (WIDTH - LEFT - RIGHT)) * columns.length);
      const row = Math.floor(((y - HEAD) / (HEIGHT - HEAD - FOOT)) * rows.length);
      if (column in columns && row in rows) choose(row, column);
    });
    return drawing;
  },
  words: ({ title, told }) => `${title}: ${told}`,
  draw(drawing, panel) {
    drawing.panel = panel;
    const { rows, columns, at, chosen, most, rowLabel, columnLabel } = panel;
    const wide = (WIDTH - LEFT - RIGHT) / columns.length, high = (HEIGHT - HEAD - FOOT) / rows.length;
    drawing.canvas.replaceChildren(
      text(0, 13, "start", rowLabel), text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 5, "middle", columnLabel),
      ...columns.map((name, j) => text(LEFT + (j + 0.5) * wide, HEIGHT - FOOT + 17, "middle", name)),
      ...rows.flatMap((name, i) => [text(LEFT - 6, HEAD + (i + 0.5) * high + 4, "end", name), ...columns.flatMap((_, j) => {
        const one = at(i, j), x = LEFT + j * wide, y = HEAD + i * high, picked = i === chosen[0] && j === chosen[1];
        if (!one) return [];
        const resolved = one.low > 0 || one.high < 0, look = one.mean > 0 ? PALETTE.ours : INK;
        return [shape("rect", { x: x + 2, y: y + 2, width: wide - 4, height: high - 4, fill: look,
          "fill-opacity": 0.08 + 0.5 * Math.min(1, Math.abs(one.mean) / most), stroke: picked ? "currentColor" : look,
          "stroke-width": picked ? 3 : 1.5, ...(resolved ? {} : { "stroke-dasharray": "4 3" }) }),
        text(x + wide / 2, y + high / 2 - 2, "middle", signed(Number(one.mean.toPrecision(2)))),
        text(x + wide / 2, y + high / 2 + 13, "middle", resolved ? "●" : "○")];
      })]));
  },
};

Object.assign(TOLD, {
  "what it reads": [short, "is what the head reads"],
  "change by turning": [(value) => (Math.abs(value) < 1e-9 ? "0" : signed(value)), "is the change since the steps began to turn"],
  "distance to the plan": [short, "is how far the guess is from the plan (squares, a step)"],
  "mass moved": [percent, "of the mass is moved at all"],
  "at the lowest price": [percent, "lies on the lag at the lowest price"],
  "at the highest price": [percent, "lies on the lag at the highest price"],
  gain: [(value) => signed(value), "is the mean gain"],
  "lower end": [(value) => signed(value), "is the lower end of its 95 % interval"],
  verdict: [String, "is what the interval says"],
  "upper end": [(value) => signed(value), "is the upper end"],
});

const LESSONS = {
  // Attention over steps that trade places.
  attention: {
    title: "Sliders: what attention sees of the order of its steps",
    controls: (state) => [steps("shift", "turned by", 0, state("steps").length - 1),
      { ...slider("positions", "positions ×", 0, 2, 0.1), ticks: [0, 1, 2].map((k) => [k, short(k)]) },
      { ...slider("sharp", "scores ×", 0, 8, 0.5), ticks: [0, 2, 4, 6, 8].map((k) => [k, short(k)]) }],
    presets: [["no positions", { positions: 0 }], ["with positions", { positions: 1 }]],
    play: "shift",
    legend: () => [key(filled(PALETTE.visible), "steps of the sequence, each with its letter"), "· the head asks, and reads the average under the bars"],
    panels(state) {
      const data = { steps: state("steps"), query: state("query"), values: state("values") }, l = data.steps.length;
      const look = (shift) => attend(data, shift, state("positions"), state("sharp"));
      const { order, weights, read } = look(state("shift")), reads = span(0, l).map((shift) => look(shift).read);
      const least = Math.min(...data.values), most = Math.max(...data.values), top = weights.indexOf(Math.max(...weights));
      return [
        { sort: CHART, title: "where the head looks", told: `most at step ${letter(order[top])}, which stands at place ${top + 1}, with weight ${short(weights[top])}`,
          x: { label: "steps, in the order in which they stand", least: -0.5, most: l - 0.5, ticks: order.map((k, place) => [place, letter(k)]) },
          y: { label: "weight", least: 0, most: 1, ticks: ticks(0, 0.5, 1) },
          marks: (x, y) => weights.map((weight, place) => bar(x, y, place, 0.7 * (x(1) - x(0)), weight, { fill: PALETTE.visible })),
          facts: { "heaviest step": letter(order[top]), "its weight": weights[top] } },
        { sort: CHART, title: "what it reads, as the steps turn", told: `${short(read)} now; from ${short(Math.min(...reads))} to ${short(Math.max(...reads))} over all turns`,
          x: { label: "turned by (steps)", least: 0, most: l - 1, ticks: ticks(...span(0, l).filter((k) => k % 2 === 0)) },
          y: { label: "what the head reads", least, most, ticks: ticks(least, (least + most) / 2, most) },
          marks: (x, y) => [path(reads.map((value, shift) => [x(shift), y(value)]), { stroke: PALETTE.visible }),
            dot([x(state("shift")), y(read)], 6, { fill: PALETTE.visible })],
          facts: { "what it reads": read, "change by turning": read - reads[0] } },
      ];
    },
  },

  // A training, epoch by epoch: the fitter's guess, and the losses so far.
  epochs: {
    title: "Sliders: a training, epoch by epoch",
    controls: (state) => [{ ...steps("epoch", "epoch", 0, state("guesses").length - 1), unit: "" }],
    play: "epoch",
    legend: () => plans(key(filled(PALETTE.imagined), "stand-in"), "· ring: where the plan of the complete pair puts most of a column"),
    panels(state) {
      const now = state("epoch"), visible = state("visible"), victim = state("victim"), target = state("target"), l = target.length;
      const guess = state("guesses")[now], plan = measure(guess.map((row) => row.map((share) => share / l)), guess);
      const cells = span(0, l).map((j) => { const column = target.map((row) => row[j]); return [column.indexOf(Math.max(...column)), j]; });
      const curves = state("curves"), told = curves.flatMap(({ values }) => values).filter((value) => value !== null);
      const most = Math.max(...told, 1e-9), last = state("guesses").length - 1;
      return [
        { sort: PLAN, title: now < state("warmup") ? `epoch ${now}: warm-up, the fitter has not moved` : `the fitter's guess after epoch ${now}`,
          window: state("window"), cells, visible, victim, imagined: mixed(plan.plan, visible), ...plan,
          facts: { "distance to the plan": sum(guess.flatMap((row, i) => row.map((share, j) => (share - target[i][j]) ** 2))) / l } },
        { sort: CHART, title: "losses so far", told: curves.map(({ name, values }) => `${name} ${values[now] === null ? "not yet" : short(values[now])}`).join(", "),
          x: { label: "epoch", least: 0, most: last, ticks: ticks(...span(0, last + 1).filter((k) => k % Math.ceil((last + 1) / 9) === 0)) },
          y: { label: "loss", least: 0, most, ticks: ticks(0, Number((most / 2).toPrecision(2)), Number(most.toPrecision(2))) },
          marks: (x, y) => [stroke(x(now), y(0), x(now), y(most), { "stroke-dasharray": "2 3" }),
            ...curves.flatMap(({ values, colour: shade, dash }) => {
              const seen = values.map((value, k) => [value, k]).filter(([value]) => value !== null), at = ([value, k]) => [x(k), y(value)];
              return [path(seen.map(at), { stroke: shade, "stroke-opacity": 0.35, "stroke-dasharray": dash }),
                path(seen.filter(([, k]) => k <= now).map(at), { stroke: shade, "stroke-width": 3, "stroke-dasharray": dash }),
                ...seen.filter(([, k]) => k === now).map((one) => dot(at(one), 5, { fill: shade }))];
            })],
          facts: Object.fromEntries(curves.map(({ name, values }) => [name, values[now] ?? "not yet"])) },
      ];
    },
  },

  // The paper's plan beside what the released code computes.
  released: {
    title: "Sliders: the plan of the paper, and the matrix of the released code",
    controls: (state) => [MU, steps("window", "window W", 0, state("cost").length - 1)],
    presets: [["the paper's kind of μ: 0.2", { mu: 0.2 }], ["the code's: 5", { mu: 5 }]],
    play: "window",
    legend: () => plans(" · ring: true partners"),
    panels(state) {
      const cost = state("cost"), window = state("window"), mu = state("mu"), seen = { visible: state("visible"), victim: state("victim") };
      const cells = state("match").map((i, j) => [i, j]), paper = solve(cost, window, mu, state("tol"), state("max_sweeps"));
      const facts = (plan) => ({ "mass on the truth": plan.on(cells), "rows off by": plan.rowGap, "columns off by": plan.columnGap, partners: partners(plan) });
      const code = solveReleased(cost, window, mu, state("barrier"));
      return [
        { sort: PLAN, title: "paper: Sinkhorn", window, cells, costs: cost, ...seen, ...paper, warning: warn(paper, state("tol")), facts: facts(paper) },
        { sort: PLAN, title: "released code", window, cells, costs: cost, ...seen, ...code, facts: facts(code) }];
    },
  },

  // A constant lag, where sums may be unequal at a price.
  price: {
    title: "Sliders: a lag, and what unequal sums may cost",
    controls: (state) => [steps("lag", "lag", -state("reach"), state("reach")),
      { name: "rho", label: "price ρ of unequal sums", least: -2, most: 1, step: 0.05, toSlider: Math.log10, unit: "",
        toModel: (place) => Number((10 ** place).toPrecision(3)), ticks: [-2, -1, 0, 1].map((power) => [power, short(10 ** power)]) },
      MU, steps("window", "window W", 0, state("cost").length - 1)],
    presets: [["nearly balanced", { rho: 10 }], ["cheap", { rho: 0.1 }]],
    play: "rho",
    legend: () => plans(" · ring: true partners"),
    panels(state) {
      const { cost, cells, seen } = lagged(state), window = state("window"), mu = state("mu"), rho = state("rho"), sweeps = state("sweeps");
      const plan = solveUnequal(cost, window, mu, rho, sweeps), total = sum(plan.rows);
      const asked = JSON.stringify([state("lag"), window, mu]), prices = [0.01, 0.03, 0.1, 0.3, 1, 3, 10];
      if (LESSONS.price.kept?.asked !== asked || LESSONS.price.kept.cost !== state("cost")) {   // the curve does not depend on rho
        const found = prices.map((one) => { const each = solveUnequal(cost, window, mu, one, sweeps); return [each.on(cells) / sum(each.rows), sum(each.rows)]; });
        LESSONS.price.kept = { asked, cost: state("cost"), found };
      }
      const { found } = LESSONS.price.kept, outside = Math.abs(state("lag")) > window ? `⚠ The lag of ${state("lag")} lies outside of the window. ` : "";
      return [
        { sort: PLAN, title: "plan with unequal sums", window, cells, costs: cost, ...seen, ...plan, warning: outside,
          facts: { "mass on the lag": plan.on(cells) / total, "mass moved": total, "mean displacement": plan.displacement / total } },
        { sort: CHART, title: "what each price buys", told: `at price ${short(rho)} ${percent(plan.on(cells) / total)} of the moved mass lies on the lag, and ${percent(total)} is moved`,
          x: { label: "price ρ", least: 0.01, most: 10, log: true, ticks: ticks(0.01, 0.1, 1, 10) }, y: { label: "share", least: 0, most: 1, ticks: ticks(0, 0.5, 1) },
          marks: (x, y) => [path(found.map(([on], k) => [x(prices[k]), y(on)]), { stroke: PALETTE.imagined }),
            path(found.map(([, moved], k) => [x(prices[k]), y(Math.min(1, moved))]), { stroke: INK, "stroke-dasharray": "6 4" }),
            text(x(10), y(found.at(-1)[0]) - 8, "end", "on the lag"), text(x(10), y(1) + 14, "end", "moved (dashed)"),
            dot([x(rho), y(plan.on(cells) / total)], 6, { fill: PALETTE.imagined }), dot([x(rho), y(Math.min(1, total))], 5, { fill: INK })],
          facts: { "at the lowest price": found[0][0], "at the highest price": found.at(-1)[0] } },
      ];
    },
  },

  // Gains over labels, pairs and room.
  map: {
    title: "Sliders: where a stand-in gains, by labels, pairs and room",
    controls(state) {
      const [rooms, pairs, labels] = state("levels"), [room, pair, label] = state("names");
      const level = (name, words, values) => ({ ...slider(name, words, 0, values.length - 1, 1), tell: (k) => share(values[k]),
        ticks: values.map((value, k) => [k, share(value)]) });
      return [level("room", room, rooms), level("labels", label, labels), level("pairs", pair, pairs)];
    },
    play: "room",
    legend: (state) => [key(filled(PALETTE.ours), "gain"), key(filled(INK), "loss"),
      `· ● resolved: the 95 % interval leaves out 0; ○ and dashed: not resolved · in ${state("unit")} · tap a cell to choose it`],
    panels(state, put) {
      const [rooms, pairs, labels] = state("levels"), points = state("points"), room = state("room"), chosen = [state("labels"), state("pairs")];
      const at = (k, i, j) => points.find(({ place: [a, b, c] }) => a === k && b === j && c === i);
      const one = at(room, ...chosen), [roomName, pairName, labelName] = state("names");
      const most = Math.max(...points.map(({ mean }) => Math.abs(mean)), 1e-9);
      const low = Math.min(0, ...points.map((point) => point.low)), high = Math.max(0, ...points.map((point) => point.high));
      const column = labels.map((_, i) => at(room, i, state("pairs"))), step = Number(((high - low) / 3).toPrecision(1));
      const word = one ? (one.low > 0 ? "a resolved gain" : one.high < 0 ? "a resolved loss" : "not resolved") : "no runs";
      const told = (point) => (point ? `${signed(point.mean)} from ${signed(point.low)} to ${signed(point.high)}` : "no runs");
      return [
        { sort: MAP, title: `${roomName} ${share(rooms[room])}`, rows: labels.map(share), columns: pairs.map(share), chosen, most, rowLabel: labelName, columnLabel: pairName,
          at: (i, j) => at(room, i, j), choose: (i, j) => put({ labels: i, pairs: j }),
          told: `${labelName} ${share(labels[chosen[0]])}, ${pairName} ${share(pairs[chosen[1]])}: ${told(one)}`,
          facts: one ? { gain: one.mean, "lower end": one.low, "upper end": one.high, verdict: word } : { verdict: word } },
        { sort: CHART, title: `${pairName} ${share(pairs[chosen[1]])}`, told: labels.map((value, i) => `${labelName} ${share(value)}: ${told(column[i])}`).join("; "),
          x: { label: labelName, least: -0.5, most: labels.length - 0.5, ticks: labels.map((value, i) => [i, share(value)]) },
          y: { label: `gain in ${state("unit")}`, least: low, most: high, ticks: span(Math.ceil(low / step), Math.floor(high / step) + 1).map((k) => [k * step, short(k * step)]) },
          marks: (x, y) => [stroke(x(-0.5), y(0), x(labels.length - 0.5), y(0), { "stroke-width": 2 }), ...column.flatMap((point, i) => (point ? [
            stroke(x(i), y(point.low), x(i), y(point.high), { stroke: PALETTE.ours, "stroke-width": 3 }),
            dot([x(i), y(point.mean)], i === chosen[0] ? 8 : 5, point.low > 0 || point.high < 0 ? { fill: PALETTE.ours } : { fill: "Canvas", stroke: PALETTE.ours, "stroke-width": 2 })] : []))],
          facts: Object.fromEntries(labels.map((value, i) => [`${labelName} ${share(value)}`, column[i] ? signed(column[i].mean) : "no runs"])) },
      ];
    },
  },
};
const share = (value) => (typeof value === "number" && value > 0 && value <= 1 ? `${short(100 * value)} %` : short(value));
