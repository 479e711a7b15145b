// The claims of a book on one ruler: filtered, opened, and judged again as the reader moves what matters.

// A word for an interval, as the chapter of the verdict defines it. `claimed`: "more" than 0, "not more", or "not less".
export function judge({ low, high, claimed }, matters) {
  if (low === null) return "not testable here";
  if (claimed === "more") {
    if (low > 0) return "reproduced";
    if (high < 0) return "the opposite";
    return high < matters ? "not reproduced" : "not resolved";
  }
  const [from, to] = claimed === "not more" ? [low, high] : [-high, -low];
  if (to < matters) return "reproduced";
  return from > 0 ? "the opposite" : "not resolved";
}

const WORDS = ["reproduced", "the opposite", "not reproduced", "not resolved", "not testable here"];
const SIGNS = { reproduced: "●", "the opposite": "■", "not reproduced": "◆", "not resolved": "○", "not testable here": "–" };
const FAMILIES = { paper: "imagined", rivals: "other", neighbours: "neighbour", ours: "ours" };
const signed = (value) => (value > 0 ? "+" : "") + short(value);

// The interval about a zero that stands in the same place in every row; the band is what does not matter.
function ruler({ mean, low, high, family, values }, matters, reach, word) {
  const x = (value) => 100 + (96 * Math.max(-1, Math.min(1, value / reach))), shade = PALETTE[FAMILIES[family]];
  const svg = shape("svg", { viewBox: "0 0 200 26", class: "mm-ruler", role: "img",
    "aria-label": low === null ? "no interval" : `from ${signed(low)} to ${signed(high)}, mean ${signed(mean)}` },
  shape("rect", { x: x(-matters), y: 2, width: x(matters) - x(-matters), height: 22, fill: INK, "fill-opacity": 0.18 }),
  stroke(100, 0, 100, 26));
  if (low !== null) {
    svg.append(stroke(x(low), 13, x(high), 13, { stroke: shade, "stroke-width": 3 }),
      ...(values ?? []).map((value) => stroke(x(value), 19, x(value), 25, { "stroke-opacity": 0.8 })),
      dot([x(mean), 13], 5, word === "not resolved" ? { fill: "Canvas", stroke: shade, "stroke-width": 2 } : { fill: shade }));
  }
  return svg;
}

function opened({ values, seeds, p, holm, grid, command, chapter, title, unit, mean, low, high }) {
  const link = chapter ? [make("p", {}, "More in ", make("a", { href: chapter }, title || "its chapter"), ".")] : [];
  if (low === null) return link;
  return [
    make("p", {}, `${signed(mean)} ${unit}, 95 % interval from ${signed(low)} to ${signed(high)}`
      + (typeof seeds === "number" ? `, over ${seeds} seeds.` : ".")),
    ...(p === undefined ? [] : [make("p", {}, `Were the claim false, chance would do this with probability ${short(p)}`
      + (holm === undefined ? "." : `; ${short(holm)} after Holm's correction for the whole page.`))]),
    ...(values ? [make("p", {}, "Seeds: ", values.map((value, k) => `${seeds?.[k] ?? k}: ${signed(value)}`).join(" · "))] : []),
    ...(grid ? [make("p", {}, "Grid: ", grid)] : []),
    ...(command ? [make("p", {}, "Again on your machine:"), make("pre", { tabindex: "0" }, command)] : []), ...link];
}

const CLAIMS = {
  title: "Every claim, its interval and what became of it",
  render({ model, el }) {
    const state = (name) => model.get(name), claims = state("claims"), said = state("said") ?? {};
    const say = (word) => said[word] ?? word, mattering = (claim) => claim.matters ?? state("matters")[claim.unit] ?? 0;
    const names = (what) => [...new Set(claims.flatMap((claim) => claim[what]))].filter(Boolean);
    const any = (words, values) => [["all", `all ${words}`], ...values.map((value) => [value, value])];
    const controls = [
      choice("family", "whose", any("claims", names("family"))), choice("dataset", "data", any("data", names("data"))),
      choice("word", "verdict", [["all", "all verdicts"], ...WORDS.map((word) => [word, say(word)])]),
      { ...slider("factor", "what matters", -2, 2, 0.1), tell: (factor) => `× ${short(factor)}`, toSlider: Math.log2,
        toModel: (place) => Number((2 ** place).toPrecision(3)), ticks: [-2, -1, 0, 1, 2].map((power) => [power, short(2 ** power)]) },
    ].map((control) => makeControl(model, control));
    const reaches = Object.fromEntries(names("unit").map((unit) =>
      [unit, Math.max(...claims.filter((claim) => claim.unit === unit && claim.low !== null).flatMap(({ low, high }) => [-low, high]), 1e-9)]));
    const counts = make("p", { class: "mm-counts", role: "status", "aria-live": "polite" }), list = make("ul", { class: "mm-claims" });
    const rows = claims.map((claim) => {
      const word = make("span", { class: "mm-word" }), rule = make("span");
      const details = make("details", {}, make("summary", {}, word, make("span", { class: "mm-claim" },
        make("b", { style: `color: inherit; border-left: 0.5rem solid ${PALETTE[FAMILIES[claim.family]]}; padding-left: 0.4rem` }, claim.whose), claim.whose ? ` ${claim.text}` : claim.text), rule),
      make("div", { class: "mm-opened" }, ...opened(claim)));
      return { claim, word, rule, item: make("li", {}, details) };
    });
    const update = () => {
      controls.forEach((control) => control.show());
      const factor = state("factor"), tally = {};
      const seen = rows.filter(({ claim, word, rule, item }) => {
        const limit = factor * mattering(claim), verdict = judge(claim, limit);
        word.replaceChildren(make("span", { "aria-hidden": "true" }, `${SIGNS[verdict]} `), say(verdict));
        item.dataset.verdict = verdict;
        rule.replaceChildren(ruler(claim, limit, reaches[claim.unit] ?? 1, verdict));
        const fits = (name, value) => state(name) === "all" || [value].flat().includes(state(name));
        const shown = fits("family", claim.family) && fits("dataset", claim.data) && fits("word", verdict);
        if (shown) tally[verdict] = (tally[verdict] ?? 0) + 1;
        return shown;
      });
      list.replaceChildren(...seen.map(({ item }) => item));
      counts.textContent = `${seen.length} of ${claims.length} claims: `
        + (WORDS.filter((word) => tally[word]).map((word) => `${tally[word]} ${say(word)}`).join(", ") || "none") + ".";
    };
    const units = [...new Set(claims.filter(({ low }) => low !== null).map((claim) => `${short(mattering(claim))} ${claim.unit}`))].join(", ");
    el.append(make("div", { class: "mmalign-alignment mm-board-of-claims", role: "group", "aria-label": CLAIMS.title },
      make("div", { class: "mmalign-controls" }, ...controls.map((control) => control.element)), counts, list,
      make("p", { class: "mmalign-legend" }, `Right of the line speaks for the claim. Dot: mean, bar: 95 % interval, small ticks: seeds, `
        + `grey band: too small to matter (${units}, times the slider). ${WORDS.slice(0, 4).map((word) => `${SIGNS[word]} ${say(word)}`).join(" ")}. `,
      ...Object.entries(FAMILIES).filter(([name]) => names("family").includes(name)).map(([name, role]) => key(filled(PALETTE[role]), name)))));
    update();
    const events = ["family", "dataset", "word", "factor"].map((name) => `change:${name}`);
    events.forEach((event) => model.on(event, update));
    return () => events.forEach((event) => model.off(event, update));
  },
};
