// Ten seconds of the whole idea: two sequences, the plan that grows between them, the victim that goes, its stand-in.

const SCENES = [   // from which share of the time on, and what is said
  [0, "Letters and sounds of one word. Which letter makes which sound?"],
  [0.12, "Optimal transport answers: at first every neighbour shares, then each finds its partner."],
  [0.42, "Now the sounds are missing, as the second sensor often is."],
  [0.56, "A model that has learnt how letters pair with sounds imagines them from the letters alone."],
  [0.8, ""],
];
const between = (now, from, to) => Math.min(1, Math.max(0, (now - from) / (to - from)));

const STORY = {
  title: "The idea as a moving picture",
  render({ model, el }) {
    const state = (name) => model.get(name), words = state("words"), wide = 640, high = 236;
    const svg = shape("svg", { viewBox: `0 0 ${wide} ${high}`, role: "img" });
    const said = make("p", { class: "mm-said" });
    const scrub = make("input", { type: "range", min: 0, max: 1, step: 0.005, "aria-label": "place in the picture" });
    const play = make("button", { type: "button" });
    const pick = make("select", { "aria-label": "word" }, ...words.map(({ letters }, k) => make("option", { value: k }, letters.join(""))));
    let now = still() ? 1 : 0, place = 0, running = !still(), before = null, frame;

    const draw = () => {
      const { letters, sounds, cost, predicted, imagined, right } = words[place], l = letters.length;
      const x = (k) => 60 + ((k + 0.5) * (wide - 80)) / l, size = Math.min(30, 330 / l);
      const grown = between(now, 0.12, 0.38), gone = between(now, 0.42, 0.52), come = between(now, 0.58, 0.76), told = between(now, 0.8, 0.86);
      const mu = 3 * (state("mu") / 3) ** grown, { plan } = solve(cost, state("window"), mu, 1e-3, 200);
      const word = (k, y, words_, role, opacity, look = {}) => shape("text", { x: x(k), y, "text-anchor": "middle",
        style: `font-size: ${size}px; font-weight: 600; fill: ${PALETTE[role]}; opacity: ${opacity}`, ...look }, words_);
      const lines = (weights, role, opacity) => weights.flatMap((row, i) => row.flatMap((weight, j) => (weight > 0.04
        ? [stroke(x(i), 62, x(j), 140, { stroke: role, "stroke-width": 7 * weight, "stroke-opacity": opacity * Math.min(1, 0.2 + weight) })] : [])));
      svg.replaceChildren(
        shape("text", { x: 0, y: 15, style: "font-size: 19px" }, "letters: always there"),
        shape("text", { x: 0, y: 228, style: "font-size: 19px" }, come ? "sounds: imagined" : gone > 0.5 ? "sounds: missing" : "sounds: the victim"),
        ...lines(plan.map((row) => row.map((mass) => l * mass)), INK, between(now, 0.12, 0.16) * (1 - gone)),
        ...lines(predicted, PALETTE.imagined, come),
        ...letters.map((letter, k) => word(k, 52, letter, "visible", 1)),
        ...sounds.map((sound, k) => word(k, 168, sound, "victim", Math.max(0, 1 - gone))),
        ...imagined.map((sound, k) => word(k, 168, sound, "imagined", come)),
        ...sounds.flatMap((sound, k) => (told && !right[k] ? [word(k, 168 + size, sound, "victim", told, { "text-decoration": "none" }),
          stroke(x(k) - size * 0.6, 168 - size * 0.33, x(k) + size * 0.6, 168 - size * 0.33, { stroke: PALETTE.victim, "stroke-width": 3, "stroke-opacity": told })] : [])),
        ...(gone > 0.3 && !come ? sounds.map((_, k) => word(k, 168, "?", "other", between(gone, 0.3, 1))) : []));
      const hits = right.filter(Boolean).length;
      const [, words_] = SCENES.filter(([from]) => from <= now).at(-1);
      said.textContent = words_ || `${hits} of ${l} steps are right. What was wrong is struck out, the truth below.`;
      svg.setAttribute("aria-label", `The word ${letters.join("")}, spoken ${sounds.join(" ")}; imagined ${imagined.join(" ")}; ${hits} of ${l} right`);
      scrub.value = now;
      scrub.setAttribute("aria-valuetext", said.textContent);
      play.textContent = running ? "❚❚ pause" : "▶ play";
      pick.value = place;
    };
    const tick = (time) => {
      if (!running) return;
      if (before !== null && svg.isConnected) now += Math.min(100, time - before) / 10500;
      before = time;
      if (now >= 1.12) { now = 0; place = (place + 1) % words.length; }     // a little rest on the result
      draw();
      frame = requestAnimationFrame(tick);
    };
    const run = (wanted) => { running = wanted; before = null; cancelAnimationFrame(frame); if (running) frame = requestAnimationFrame(tick); draw(); };
    play.addEventListener("click", () => { if (!running && now >= 1) now = 0; run(!running); });
    scrub.addEventListener("input", () => { now = Number(scrub.value); run(false); });
    scrub.addEventListener("keydown", (event) => event.stopPropagation());
    pick.addEventListener("change", () => { place = pick.selectedIndex; now = still() ? 1 : 0; run(running); });
    el.append(make("div", { class: "mmalign-alignment mm-story", role: "group", "aria-label": STORY.title }, svg, said,
      make("div", { class: "mm-buttons" }, play, scrub, pick)));
    run(running);
    return () => run(false);
  },
};
