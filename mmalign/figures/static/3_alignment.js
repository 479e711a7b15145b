// One component for every alignment: the plan as a matrix with its two sequences along the margins, and as threads
// between the two. A cell that is pointed at, tapped or reached by the arrow keys lights up its row, its column, both
// steps, their thread and what is mixed into the stand-in there.

const CIVIDIS = [[0, 34, 78], [26, 56, 111], [67, 78, 108], [97, 101, 111], [125, 124, 120],
  [155, 148, 118], [188, 174, 108], [222, 201, 88], [254, 232, 56]];   // eighths of matplotlib's
function colour(share) {
  const place = Math.min(Math.max(share, 0), 1) * (CIVIDIS.length - 1), left = Math.min(Math.floor(place), CIVIDIS.length - 2);
  const mix = CIVIDIS[left].map((part, k) => Math.round(part + (place - left) * (CIVIDIS[left + 1][k] - part)));
  return `rgb(${mix})`;
}

const SIDE = 270, EDGE = 46, SUMS = 26, BOARD = EDGE + SIDE + SUMS;   // of the matrix, its margins, the bars of its sums
const HIGH = 118, TOP = 26, FOOT_ROW = 92;                            // of the threads, and where their two rows lie

// A sequence along a line: numbers become a curve, words stand for themselves, nothing becomes its step numbers.
function alongSide(values, l, at, off, role, turned, range = values) {
  const place = (k, away) => (turned ? [off - away, at(k)] : [at(k), off - away]);
  if (!values || typeof values[0] === "string") {
    const size = Math.min(13, Math.max(9.6, SIDE / l - 1)), every = values ? 1 : Math.ceil(l / 10);
    return span(0, l).filter((k) => k % every === 0).map((k) => {
      const [x, y] = place(k, turned ? 6 : 3);
      return shape("text", { x, y: turned ? y + 4 : y, "text-anchor": turned ? "end" : "middle", fill: PALETTE[role],
        style: `font-size: ${size}px; fill: ${PALETTE[role]}; font-weight: 600` }, values ? values[k] : String(k));
    });
  }
  const least = Math.min(...range), most = Math.max(...range, least + 1e-9);
  const points = values.map((value, k) => place(k, 5 + ((value - least) / (most - least)) * (EDGE - 16)));
  return [path(points, { stroke: PALETTE[role], "stroke-width": 1.5 }), ...points.map((point) => dot(point, 2.4, { fill: PALETTE[role] }))];
}

const PLAN = {
  make() {
    const canvas = make("canvas", { width: 2 * SIDE, height: 2 * SIDE, "aria-hidden": "true" });
    const still = shape("g"), live = shape("g"), threads = shape("g"), lit = shape("g");
    const board = shape("svg", { viewBox: `0 0 ${BOARD} ${BOARD}`, role: "img", tabindex: "0" }, still, live);
    const web = shape("svg", { viewBox: `0 0 ${BOARD} ${HIGH}`, "aria-hidden": "true" }, threads, lit);
    const told = make("p", { class: "mm-told", role: "status", "aria-live": "polite" });
    const drawing = { canvas: board, cells: canvas, still, live, threads, lit, told, at: null,
      element: make("div", { class: "mm-plan" }, web, make("div", { class: "mm-board" }, canvas, board), told) };
    const point = (cell) => { drawing.at = cell; light(drawing); };
    const under = (event) => {
      const box = board.getBoundingClientRect(), size = sizes(drawing.panel);
      const cell = [event.clientY - box.top, event.clientX - box.left].map((pixel, axis) =>
        Math.floor((((pixel * BOARD) / box.width - EDGE) * size[axis]) / SIDE));
      return cell.every((k, axis) => k >= 0 && k < size[axis]) ? cell : null;
    };
    board.addEventListener("pointermove", (event) => { const cell = under(event); if (cell || !board.matches(":focus-visible")) point(cell); });
    board.addEventListener("pointerdown", (event) => point(under(event)));
    board.addEventListener("pointerleave", () => { if (!board.matches(":focus")) point(null); });
    board.addEventListener("blur", () => point(null));
    board.addEventListener("keydown", (event) => {
      const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      event.stopPropagation();                                       // JupyterLab would take the arrow keys
      if (event.key === "Escape") point(null);
      if (!step) return;
      event.preventDefault();
      const size = sizes(drawing.panel);
      point(drawing.at ? drawing.at.map((k, axis) => Math.min(size[axis] - 1, Math.max(0, k + step[axis]))) : [0, 0]);
    });
    return drawing;
  },
  words: ({ title, plan, window, cells }) => `${title}: ${plan.length} by ${plan[0].length} matrix, `
    + `mass up to ${window} steps off the diagonal` + (cells ? "; rings mark the true partners" : "")
    + ". Arrow keys walk from cell to cell.",
  draw(drawing, panel) {
    drawing.panel = panel;
    const { plan, rows, columns, window, cells, visible, victim, imagined, of = ["visible", "victim"] } = panel;
    const pen = drawing.cells.getContext("2d"), [l, m] = sizes(panel), fine = Math.max(l, m);
    const down = (k) => Math.round((k * 2 * SIDE) / l), right = (k) => Math.round((k * 2 * SIDE) / m);
    pen.clearRect(0, 0, 2 * SIDE, 2 * SIDE);
    near(l, m, window).forEach((columns, i) => columns.forEach((j) => {
      pen.fillStyle = colour(fine * plan[i][j]);
      pen.fillRect(right(j), down(i), right(j + 1) - right(j), down(i + 1) - down(i));
    }));
    for (const [i, j] of cells ?? []) {
      for (const [style, width] of [["#fff", 6], ["#000", 2.5]]) {   // seen on every ground
        Object.assign(pen, { strokeStyle: style, lineWidth: width });
        pen.beginPath();
        pen.arc((right(j) + right(j + 1)) / 2, (down(i) + down(i + 1)) / 2, Math.min(12, (SIDE / fine) * 0.55), 0, 7);
        pen.stroke();
      }
    }
    const [high, wide] = [SIDE / l, SIDE / m], atRow = (k) => EDGE + (k + 0.5) * high, atColumn = (k) => EDGE + (k + 0.5) * wide;
    const far = EDGE + SIDE + 3, most = SUMS - 6;
    const both = imagined && typeof imagined[0] === "number" ? [...imagined, ...victim] : null;
    const long = (side, size) => (Math.min(size * side, 2) / 2) * most, grey = { fill: INK, "fill-opacity": 0.75 };
    drawing.still.replaceChildren(
      shape("rect", { x: EDGE, y: EDGE, width: SIDE, height: SIDE, fill: "none", stroke: INK }),
      ...span(0, l).map((k) => shape("rect", { x: far, y: atRow(k) - high / 2 + 0.5, width: long(rows[k], l), height: high - 1, ...grey })),
      ...span(0, m).map((k) => shape("rect", { x: atColumn(k) - wide / 2 + 0.5, y: far, width: wide - 1, height: long(columns[k], m), ...grey })),
      stroke(far + most / 2, EDGE, far + most / 2, EDGE + SIDE), stroke(EDGE, far + most / 2, EDGE + SIDE, far + most / 2),
      ...alongSide(visible, l, atRow, EDGE, "visible", true),
      ...alongSide(victim, m, atColumn, EDGE, "victim", false, both ?? victim),
      ...(both ? alongSide(imagined, m, atColumn, EDGE, "imagined", false, both) : []));
    const place = (size) => (k) => 14 + ((k + 0.5) * (BOARD - 28)) / size, above = place(l), below = place(m);
    const bead = (words, x, k, y, role) => (words && typeof words[k] === "string"
      ? shape("text", { x: x(k), y: y + 4, "text-anchor": "middle", style: `font-size: 13px; fill: ${PALETTE[role]}; font-weight: 600` }, words[k])
      : dot([x(k), y], Math.min(4.5, 60 / fine), { fill: PALETTE[role] }));
    Object.assign(drawing, { above, below });
    drawing.threads.replaceChildren(
      text(0, 11, "start", `${of[0]} sequence`), text(0, HIGH - 3, "start", `${of[1]} sequence`),
      ...plan.flatMap((row, i) => row.flatMap((mass, j) => (fine * mass > 0.03 ? [stroke(above(i), TOP + 8, below(j), FOOT_ROW - 8,
        { "stroke-width": Math.max(0.5, 5 * fine * mass), "stroke-opacity": Math.min(0.9, 0.15 + 0.75 * fine * mass) })] : []))),
      ...span(0, l).map((k) => bead(visible, above, k, TOP, "visible")), ...span(0, m).map((k) => bead(victim, below, k, FOOT_ROW, "victim")));
    light(drawing);
  },
};

// The cell that is pointed at, in the matrix, among the threads and in words.
function light(drawing) {
  const { plan, costs, cells, visible, victim, imagined, of = ["visible", "victim"] } = drawing.panel, [l, m] = sizes(drawing.panel);
  const cell = drawing.at && drawing.at[0] < l && drawing.at[1] < m ? drawing.at : null, fine = Math.max(l, m);
  if (!cell) {
    drawing.live.replaceChildren();
    drawing.lit.replaceChildren();
    drawing.told.textContent = "Point at a cell, or walk there with the arrow keys.";
    return;
  }
  const [i, j] = cell, [high, wide] = [SIDE / l, SIDE / m], glow = { fill: "none", "stroke-width": 2 };
  const box = (x, y, width, height, look) => shape("rect", { x, y, width, height, ...glow, ...look });
  drawing.live.replaceChildren(
    box(0, EDGE + i * high, EDGE + SIDE + SUMS, high, { stroke: PALETTE.visible }),
    box(EDGE + j * wide, 0, wide, EDGE + SIDE + SUMS, { stroke: PALETTE.victim }),
    box(EDGE + j * wide, EDGE + i * high, wide, high, { stroke: "currentColor", "stroke-width": 3 }));
  const { above, below } = drawing;
  drawing.lit.replaceChildren(
    ...span(0, l).filter((k) => fine * plan[k][j] > 0.03).map((k) => stroke(above(k), TOP + 8, below(j), FOOT_ROW - 8,
      { stroke: PALETTE.imagined, "stroke-width": Math.max(1.5, 5 * fine * plan[k][j]) })),
    dot([above(i), TOP], 9, { fill: "none", stroke: PALETTE.visible, "stroke-width": 2.5 }),
    dot([below(j), FOOT_ROW], 9, { fill: "none", stroke: PALETTE.victim, "stroke-width": 2.5 }));
  const name = (values, k) => (values && typeof values[k] === "string" ? `“${values[k]}”` : `step ${k}`);
  const known = cells && cells.some(([a, b]) => a === i && b === j);
  drawing.told.replaceChildren(
    make("b", {}, percent(l * plan[i][j])), ` of ${of[0]} ${name(visible, i)} goes to ${of[1]} ${name(victim, j)}. `,
    costs ? `Their cost is ${short(costs[i][j])} (0 alike, 2 opposite). ` : "", known ? "They are true partners. " : "",
    imagined ? `The stand-in for ${name(victim, j)} is ${typeof imagined[j] === "number" ? short(imagined[j]) : imagined[j]}` : "",
    imagined && typeof imagined[j] === "number" ? `; the truth is ${short(victim[j])}.` : imagined ? "." : "");
}

// What a plan makes of the visible sequence: step j of m mixes visible steps with m times column j (Eq. 13).
const mixed = (plan, visible) => plan[0].map((_, j) => sum(visible.map((value, i) => plan[0].length * plan[i][j] * value)));
const sizes = ({ plan }) => [plan.length, plan[0].length];   // of the visible sequence and of the victim
