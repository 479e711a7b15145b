// Pictures that move: live in Jupyter (anywidget) and on the still pages of the book, from the same source. Its parts
// are joined in the order of their names into one module: the arithmetic, the drawings, the pictures, the page.
//
// This part is the solver of mmalign.transport: the same start, the same sweeps, the same stopping rule, in float64.

// Entropic transport inside a window. cost: l rows of l numbers; cells further than `window` apart stay exactly 0.
export function solve(cost, window, mu, tol, maxSweeps) {
  const l = cost.length, logShare = -Math.log(l);
  const kernel = cost.map((row) => row.map((value) => -value / mu));                 // log K, Eq. 9
  const near = span(0, l).map((i) => span(Math.max(0, i - window), Math.min(l, i + window + 1)));

  let f, g = near.map(() => 0);                                                       // log u, log v
  let sweeps = 0;
  const gaps = [];                                                                    // after each sweep
  for (; sweeps < maxSweeps; sweeps++) {
    const rows = near.map((columns, i) => logShare - logSumExp(columns, (j) => kernel[i][j] + g[j]));
    // Before this update the row sums are off by the factor exp(f - rows).
    if (sweeps) gaps.push(highest(span(0, l), (i) => Math.abs(Math.expm1(f[i] - rows[i]))));
    if (sweeps && tol > 0 && gaps.at(-1) <= tol) break;
    f = rows;
    g = near.map((rows, j) => logShare - logSumExp(rows, (i) => kernel[i][j] + f[i]));
  }
  const plan = cost.map((row) => row.map(() => 0));
  near.forEach((columns, i) => columns.forEach((j) => { plan[i][j] = Math.exp(kernel[i][j] + f[i] + g[j]); }));
  const result = measure(plan, cost);
  return { ...result, sweeps, gaps: [...gaps, result.gap].slice(0, sweeps), converged: !(result.gap > tol) };
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
  const off = (sides) => highest(sides, (side) => Math.abs(l * side - 1));
  return {
    plan, rows, columns,
    cost: over((mass, i, j) => mass * cost[i][j]),
    entropy: over((mass) => -mass * Math.log(mass)),
    rowGap: off(rows), columnGap: off(columns), gap: Math.max(off(rows), off(columns)),
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
function softmax(values) {
  const total = logSumExp(values, Number);
  return values.map((value) => Math.exp(value - total));
}
