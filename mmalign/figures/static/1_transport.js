// Pictures that move: live in Jupyter (anywidget) and on the still pages of the book, from the same source. Its parts
// are joined in the order of their names into one module: the arithmetic, the drawings, the pictures, the page.
//
// This part is the solver of mmalign.transport: the same start, the same sweeps, the same stopping rule, in float64.

// Which of m steps lie in the window of each of l steps (masks.window_ends); |i - j| <= window where l is m.
export function near(l, m, window) {
  const reach = window * Math.max(l, m);
  return span(0, l).map((i) => span(Math.max(0, Math.floor((i * m - reach) / l)), Math.min(m, Math.ceil(((i + 1) * m + reach) / l))));
}

// Entropic transport inside a window. cost: l rows of m numbers; cells outside of the window stay exactly 0.
export function solve(cost, window, mu, tol, maxSweeps) {
  const l = cost.length, m = cost[0].length, rowShare = -Math.log(l), columnShare = -Math.log(m);
  const kernel = cost.map((row) => row.map((value) => -value / mu));                 // log K, Eq. 9
  const across = near(l, m, window), down = near(m, l, window);

  let f, g = down.map(() => 0);                                                       // log u, log v
  let sweeps = 0;
  const gaps = [];                                                                    // after each sweep
  for (; sweeps < maxSweeps; sweeps++) {
    const rows = across.map((columns, i) => rowShare - logSumExp(columns, (j) => kernel[i][j] + g[j]));
    // Before this update the row sums are off by the factor exp(f - rows).
    if (sweeps) gaps.push(highest(span(0, l), (i) => Math.abs(Math.expm1(f[i] - rows[i]))));
    if (sweeps && tol > 0 && gaps.at(-1) <= tol) break;
    f = rows;
    g = down.map((rows, j) => columnShare - logSumExp(rows, (i) => kernel[i][j] + f[i]));
  }
  const plan = cost.map((row) => row.map(() => 0));
  across.forEach((columns, i) => columns.forEach((j) => { plan[i][j] = Math.exp(kernel[i][j] + f[i] + g[j]); }));
  const result = measure(plan, cost);
  return { ...result, sweeps, gaps: [...gaps, result.gap].slice(0, sweeps), converged: !(result.gap > tol) };
}

// Each row spreads its share by itself: right row sums, whatever column sums.
export function solveOneSided(cost, window, mu) {
  const l = cost.length, plan = cost.map((row) => row.map(() => 0));
  near(l, cost[0].length, window).forEach((columns, i) => {
    const total = logSumExp(columns, (j) => -cost[i][j] / mu);
    columns.forEach((j) => { plan[i][j] = Math.exp(-cost[i][j] / mu - total) / l; });
  });
  return measure(plan, cost);
}

// What a plan says about itself.
function measure(plan, cost) {
  const l = plan.length, m = plan[0].length, fine = Math.max(l, m);
  const rows = plan.map(sum), columns = span(0, m).map((j) => sum(plan.map((row) => row[j])));
  const over = (term) => sum(plan.map((row, i) => sum(row.map((mass, j) => (mass > 0 ? term(mass, i, j) : 0)))));
  const off = (sides) => highest(sides, (side) => Math.abs(sides.length * side - 1));
  return {
    plan, rows, columns,
    cost: over((mass, i, j) => mass * cost[i][j]),
    entropy: over((mass) => -mass * Math.log(mass)),
    rowGap: off(rows), columnGap: off(columns), gap: Math.max(off(rows), off(columns)),
    displacement: over((mass, i, j) => mass * (((j + 0.5) * fine) / m - ((i + 0.5) * fine) / l)),   // of the finer steps
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
function softmax(values) {
  const total = logSumExp(values, Number);
  return values.map((value) => Math.exp(value - total));
}
