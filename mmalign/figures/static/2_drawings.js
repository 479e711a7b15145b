// How a picture is drawn. A sort of drawing makes its element once, and draws into it whenever a slider has moved.

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function shape(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const short = (value) => (typeof value === "number" ? String(Number(value.toPrecision(4))) : value);

const INK = "#7a7a7a";                                                   // seen in the light and in the dark, as are these:
const BLUE = "#0072B2", RED = "#D55E00", GREEN = "#009E73";              // three of plots.COLOURS

// ---- a matrix, on a canvas -------------------------------------------------------------------------------------

const CIVIDIS = [[0, 34, 78], [26, 56, 111], [67, 78, 108], [97, 101, 111], [125, 124, 120],
  [155, 148, 118], [188, 174, 108], [222, 201, 88], [254, 232, 56]];   // eighths of matplotlib's
function colour(share) {
  const place = Math.min(Math.max(share, 0), 1) * (CIVIDIS.length - 1), left = Math.min(Math.floor(place), CIVIDIS.length - 2);
  const mix = CIVIDIS[left].map((part, k) => Math.round(part + (place - left) * (CIVIDIS[left + 1][k] - part)));
  return `rgb(${mix})`;
}

const SIDE = 560, STRIP = 72, GAP = 8;   // in the canvas's own pixels; the page shows it at half size

// The matrix; above it the column sums, to its right the row sums, each with a line at its target 1/l.
const MATRIX = {
  make() {
    const canvas = make("canvas", { width: SIDE + GAP + STRIP, height: SIDE + GAP + STRIP, role: "img" });
    const across = make("div", { class: "mmalign-columns" }), down = make("div", { class: "mmalign-rows" });
    return { canvas, across, down,
      element: make("div", {}, across, make("div", { class: "mmalign-picture" }, down, canvas)) };
  },
  words: ({ title, plan, window, cells }) => `${title}: ${plan.length} by ${plan.length} matrix, `
    + `mass up to ${window} steps off the diagonal` + (cells ? "; rings mark the true match" : ""),
  draw({ canvas, across, down }, { plan, rows, columns, window, cells, of = ["the visible sequence", "the victim"] }) {
    down.textContent = `← step of ${of[0]}`;
    across.textContent = `step of ${of[1]} →`;
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
    pen.strokeStyle = RED;
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
  },
};

// ---- a chart, as SVG: its words take the colour of the page ----------------------------------------------------

const WIDTH = 352, HEIGHT = 300, LEFT = 44, RIGHT = 10, HEAD = 28, FOOT = 40;

function scale({ least, most, log }, from, to) {
  const turn = log ? Math.log10 : Number;
  return (value) => from + ((turn(value) - turn(least)) / (turn(most) - turn(least))) * (to - from);
}
const text = (x, y, anchor, words) => shape("text", { x, y, "text-anchor": anchor }, words);
const stroke = (x1, y1, x2, y2, look = {}) => shape("line", { x1, y1, x2, y2, stroke: INK, ...look });
const path = (points, look) => shape("polyline", { points: points.join(" "), fill: "none", "stroke-width": 2, ...look });
const dot = ([cx, cy], r, look) => shape("circle", { cx, cy, r, ...look });

// x, y: label, least, most, ticks (value and word), log; `marks` says what stands in it, told where x and y are.
const CHART = {
  make() {
    const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" });
    return { canvas: svg, element: svg };
  },
  words: ({ title, told }) => `${title}: ${told}`,
  draw({ canvas }, { x, y, marks }) {
    const right = WIDTH - RIGHT, foot = HEIGHT - FOOT, atX = scale(x, LEFT, right), atY = scale(y, foot, HEAD);
    canvas.replaceChildren(
      ...y.ticks.map(([value]) => stroke(LEFT, atY(value), right, atY(value), { "stroke-opacity": 0.3 })),
      ...y.ticks.map(([value, word]) => text(LEFT - 6, atY(value) + 4, "end", word)),
      ...x.ticks.map(([value, word]) => text(atX(value), foot + 17, "middle", word)),
      text(0, 13, "start", y.label), text((LEFT + right) / 2, HEIGHT - 5, "middle", x.label),
      ...marks(atX, atY), stroke(LEFT, foot, right, foot));
  },
};
const ticks = (...values) => values.map((value) => [value, short(value).replace("-", "−")]);
const bar = (x, y, place, width, value, look) => shape("rect", { x: x(place) - width / 2, width,
  y: y(value), height: y(0) - y(value), ...look });

// ---- samples, each a box for what is always there over a box for the victim --------------------------------------

const ROW = 20, BOX = 14, PITCH = 17.5;   // samples in a row, and their size

const SAMPLES = {
  make() {
    const svg = shape("svg", { role: "img" });
    return { canvas: svg, element: svg };
  },
  words: ({ title, parts }) => `${title}: ` + parts.map(({ name, keeps }) =>
    `${keeps.filter(Boolean).length} of ${keeps.length} ${name} samples have their victim`).join(", "),
  draw({ canvas }, { parts }) {
    const boxes = [];
    let top = 0;
    for (const { name, keeps } of parts) {
      boxes.push(text(0, top + 12, "start", `${name}: ${keeps.filter(Boolean).length} of ${keeps.length} have their victim`));
      top += 18;
      keeps.forEach((kept, place) => {
        const x = 1 + (place % ROW) * PITCH, y = top + Math.floor(place / ROW) * 34;
        boxes.push(shape("rect", { x, y, width: BOX, height: BOX, fill: BLUE }),
          shape("rect", { x, y: y + BOX + 1, width: BOX, height: BOX, class: kept ? "kept" : "gone",
            ...(kept ? { fill: RED } : { fill: "none", stroke: INK }) }),
          ...(kept ? [] : [stroke(x, y + 2 * BOX + 1, x + BOX, y + BOX + 1)]));
      });
      top += Math.ceil(keeps.length / ROW) * 34 + 4;
    }
    canvas.setAttribute("viewBox", `0 0 ${WIDTH} ${top}`);
    canvas.replaceChildren(...boxes);
  },
};
