// What CSS cannot know: how wide a formula or a table came out, and so what must shrink, turn into cards, or scroll.

const SMALLEST = 0.6;   // of a formula's size; below, it scrolls inside a box that shows it

const TOWER = 200;      // pixels of a row on a phone; above, its words stand one below the other

const fitFormula = (formula) => {
  formula.classList.remove("mm-scrolls");   // what an earlier width of the window has left must not be measured
  formula.style.fontSize = formula.dataset.size ??= formula.style.fontSize || "100%";
  const box = formula.closest("div.math, p, li, td, dd") ?? formula.parentElement;
  const number = box.querySelector(":scope > .eqno")?.offsetWidth ?? 0;
  const inside = formula.querySelector("mjx-math") ?? formula, room = box.clientWidth - number - 4;
  const width = () => inside.getBoundingClientRect().width, whole = parseFloat(getComputedStyle(formula).fontSize);
  if (!room) return;
  for (let share = 1; width() > room && share > SMALLEST;) {   // rules and spaces do not shrink as letters do
    share = Math.max(SMALLEST, (share * 0.99 * room) / width());
    formula.style.fontSize = `${whole * share}px`;
  }
  formula.classList.toggle("mm-scrolls", width() > room);
};

// One card a row, its cells named after their columns, the verdict first.
const nameCells = (table) => {
  const names = [];   // of a column, the last that stands over it: pandas names its rows below the columns
  for (const row of table.tHead.rows) {
    let place = 0;
    for (const cell of row.cells) {
      for (let wide = cell.colSpan; wide; wide--) names[place] = cell.textContent.trim() || names[place], place++;
    }
  }
  table.setAttribute("role", "table");
  for (const row of table.querySelectorAll("tbody tr")) {
    row.setAttribute("role", "row");
    [...row.children].forEach((cell, place) => {
      cell.setAttribute("role", cell.matches("th") ? "rowheader" : "cell");
      cell.dataset.label = names[place] ?? "";
      cell.classList.toggle("mm-empty", !cell.textContent.trim() && !cell.querySelector("img, svg"));
      cell.classList.toggle("mm-first", /verdict|became/i.test(names[place] ?? ""));
    });
  }
};

const fitTable = (table) => {
  table.classList.remove("mm-cards");
  const tower = ({ cells, offsetHeight }) => cells.length > 2 && offsetHeight > (cells.length > 4 ? TOWER / 2 : TOWER);
  const cramped = innerWidth < 600 && [...table.rows].some(tower);   // a word to a line is no table
  if ((table.scrollWidth <= table.clientWidth + 1 && !cramped) || !table.querySelector("thead")) return;
  if (!table.dataset.named) nameCells(table);
  table.dataset.named = "yes";
  table.classList.add("mm-cards");
};

// What still scrolls sideways can be reached, and so scrolled, with the keyboard.
const reach = (box) => {
  if (box.scrollWidth > box.clientWidth + 1 && getComputedStyle(box).overflowX !== "visible") box.tabIndex = 0;
  else box.removeAttribute("tabindex");
};

const fit = () => {
  document.querySelectorAll(".bd-article table").forEach(fitTable);
  document.querySelectorAll(".bd-article mjx-container").forEach(fitFormula);
  document.querySelectorAll(".bd-article :is(table, pre, mjx-container, .mm-scrolls)").forEach(reach);
};

let waiting;
const soon = () => { cancelAnimationFrame(waiting); waiting = requestAnimationFrame(fit); };
window.addEventListener("load", () => Promise.resolve(window.MathJax?.startup?.promise).then(soon));
// The column's width, not the window's: it changes last, when the bars at its sides have come to rest.
let column;
new ResizeObserver(([{contentRect}]) => { if (column !== contentRect.width) { column = contentRect.width; soon(); } })
  .observe(document.querySelector(".bd-article") ?? document.body);
document.addEventListener("toggle", soon, true);   // what was folded had no width
