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

const short = (value) => (typeof value === "number" ? String(Number(value.toPrecision(3))).replace("-", "−") : value);
const percent = (share) => (Math.abs(share) < 5e-5 && share ? "under 0.01 %"
  : `${short(100 * Number(share.toFixed(Math.abs(share) < 0.01 ? 5 : 3)))} %`);

const INK = PALETTE.ink;   // one colour a role: figures/palette.py writes PALETTE before this

// ---- a chart, as SVG: its words take the colour of the page ----------------------------------------------------

const WIDTH = 352, HEIGHT = 300, LEFT = 58, RIGHT = 10, HEAD = 28, FOOT = 40;

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
const ticks = (...values) => values.map((value) => [value, short(value)]);
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
        boxes.push(shape("rect", { x, y, width: BOX, height: BOX, fill: PALETTE.visible }),
          shape("rect", { x, y: y + BOX + 1, width: BOX, height: BOX, class: kept ? "kept" : "gone",
            ...(kept ? { fill: PALETTE.victim } : { fill: "none", stroke: INK }) }),
          ...(kept ? [] : [stroke(x, y + 2 * BOX + 1, x + BOX, y + BOX + 1)]));
      });
      top += Math.ceil(keeps.length / ROW) * 34 + 4;
    }
    canvas.setAttribute("viewBox", `0 0 ${WIDTH} ${top}`);
    canvas.replaceChildren(...boxes);
  },
};
