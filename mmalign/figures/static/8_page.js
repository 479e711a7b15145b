// The page: controls that write the state, panels that are drawn from it, read-outs in plain words.

const WORTH = (value) => (typeof value === "number" ? String(value) : value);
const still = () => window.matchMedia("(prefers-reduced-motion: reduce)").matches;

function makeSlider(model, { name, label, least, most, step, toSlider, toModel, unit, tell, ticks: marks = [] }) {
  const input = make("input", { type: "range", name, min: least, max: most, step });
  const shown = make("output"), best = make("span", { class: "mm-best", hidden: "" }, "▲ best");
  const at = (place) => `left: calc(0.5rem + (100% - 1rem) * ${(place - least) / (most - least)})`;
  const scale = make("span", { class: "mm-ticks", "aria-hidden": "true" },
    ...marks.map(([place, words]) => make("span", { style: at(place) }, words)), best);
  input.addEventListener("input", () => {
    model.set(name, toModel(Number(input.value)));
    model.save_changes();
  });
  return { input, element: make("label", {}, make("span", {}, label), make("span", { class: "mm-track" }, input, scale), shown),
    mark(value) { best.hidden = value === null; if (value !== null) best.setAttribute("style", at(toSlider(value))); },
    show() {
      const value = model.get(name);
      input.value = toSlider(value);
      shown.textContent = tell ? tell(value) : `${short(value)} ${unit}`.trim().replace(/^(−?1) (\w+)s$/, "$1 $2");
      shown.dataset.value = value;
      input.setAttribute("aria-valuetext", shown.textContent);
    } };
}

function makeChoice(model, { name, label, options }) {
  const input = make("select", { name }, ...options.map(([, words], place) => make("option", { value: place }, words)));
  input.addEventListener("change", () => {
    model.set(name, options[input.selectedIndex][0]);
    model.save_changes();
  });
  return { input, element: make("label", {}, make("span", {}, label), input),
    mark() {}, show: () => { input.selectedIndex = options.findIndex(([value]) => value === model.get(name)); } };
}

function makeEntry(model, { name, label }) {
  const input = make("input", { type: "text", name, autocomplete: "off", spellcheck: "false" });
  input.addEventListener("input", () => {
    model.set(name, input.value);
    model.save_changes();
  });
  return { input, element: make("label", {}, make("span", {}, label), input),
    mark() {}, show: () => { if (input.value !== model.get(name)) input.value = model.get(name); } };
}

function makeControl(model, control) {
  const made = (control.options ? makeChoice : control.entry ? makeEntry : control.pad ? makePad : makeSlider)(model, control);
  made.input.addEventListener("keydown", (event) => event.stopPropagation());   // JupyterLab would take the arrow keys
  return { ...made, name: control.name, show() {
    made.show();
    made.input.disabled = control.when ? !control.when() : false;   // it keeps its place, so that nothing jumps
    made.element.hidden = control.hide && made.input.disabled;
    made.element.classList.toggle("mm-off", made.input.disabled);
  } };
}

// Buttons: back to the start, what is worth a look, and a slider that moves by itself.
function makeButtons(kind, controls, first, put) {
  const button = (words, press, look = {}) => {
    const made = make("button", { type: "button", ...look }, words);
    made.addEventListener("click", press);
    return made;
  };
  let timer = null;
  const stop = () => { clearInterval(timer); timer = null; play.textContent = "▶ play"; play.setAttribute("aria-pressed", "false"); };
  const moved = controls.find(({ name }) => name === kind.play);
  const play = button("▶ play", () => {
    if (timer) return stop();
    play.textContent = "❚❚ pause";
    play.setAttribute("aria-pressed", "true");
    const { input } = moved;
    timer = setInterval(() => {
      if (!play.isConnected) return stop();
      input.value = Number(input.value) >= Number(input.max) ? input.min : Number(input.value) + Number(input.step);
      input.dispatchEvent(new Event("input"));
    }, still() ? 1200 : 350);
  }, { "aria-pressed": "false" });
  return { stop, element: make("div", { class: "mm-buttons" }, ...(moved ? [play] : []),
    ...(kind.presets ?? []).map(([words, values]) => button(words, () => put(values))),
    button("↺ reset", () => { stop(); put(first); })) };
}

function makeFact([name, value]) {
  const [show, words] = TOLD[name] ?? [typeof value === "number" && /^weight/.test(name) ? percent : short, name];
  return make("div", {}, make("dt", {}, words),
    make("dd", {}, make("data", { value: WORTH(value), "data-name": name }, typeof value === "number" ? show(value) : value)));
}

function makePanel({ sort, title, beside }) {
  const drawing = sort.make(), facts = make("dl"), warning = make("p", { class: "mmalign-warning" });
  const caption = make("figcaption");
  const element = make("figure", { class: beside ? "mmalign-beside" : "" }, caption, drawing.element,
    make("div", { role: "status", "aria-live": "polite", "aria-atomic": "true", "aria-label": `read-outs: ${title}` }, facts, warning));
  return { element, show(panel) {
    caption.textContent = panel.title;
    sort.draw(drawing, panel);
    drawing.canvas.setAttribute("aria-label", sort.words(panel));
    facts.replaceChildren(...Object.entries(panel.facts).map(makeFact));
    warning.textContent = panel.warning ?? "";
  } };
}

// On a page of the book the state stands in the address, so that it can be shared; what is as it was at first does not.
// An address may be anything: what no control could say is left out.
function readAddress(model, names, controls) {
  if (!document.querySelector(".bd-article")) return null;
  const first = Object.fromEntries(names.map((name) => [name, model.get(name)]));
  for (const [name, words] of new URLSearchParams(location.hash.slice(1))) {
    const control = controls.find((one) => one.name === name), value = typeof first[name] === "number" ? Number(words) : words;
    if (name in first && control && couldSay(control, value)) model.set(name, value);
  }
  return first;
}
function couldSay({ options, entry, pad, least, most, step, toSlider }, value) {
  if (options) return options.some(([known]) => known === value);
  if (pad) return new RegExp(`^\\d{${FEWEST},${LONGEST}}$`).test(value);
  if (entry) return value.length <= 80;
  const place = toSlider(value);
  return place >= least && place <= most && (step !== 1 || Number.isInteger(value));
}
function writeAddress(model, names, first) {
  const told = new URLSearchParams(names.filter((name) => model.get(name) !== first[name]).map((name) => [name, model.get(name)]));
  const hash = String(told) ? `#${told}` : "";
  if (hash !== location.hash) history.replaceState(null, "", `${location.pathname}${location.search}${hash}`);
}

function render({ model, el }) {
  const kind = KINDS[model.get("kind")], state = (name) => model.get(name);
  if (kind.render) return kind.render({ model, el });
  const wanted = kind.controls(state), start = kind.address && readAddress(model, kind.address, wanted);
  const controls = wanted.map((control) => makeControl(model, control));
  const first = Object.fromEntries(controls.map(({ name }) => [name, state(name)]));
  const put = (values) => {
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    model.save_changes();
  };
  const buttons = makeButtons(kind, controls, first, put);
  const panels = kind.panels(state, put).map(makePanel);
  let later;
  const update = () => {
    controls.forEach((control) => control.show());
    kind.panels(state, put).forEach((panel, place) => panels[place].show(panel));
    if (start) writeAddress(model, kind.address, start);
    clearTimeout(later);                                             // what takes longer waits until nothing moves
    if (kind.best) later = setTimeout(() => {
      const [name, value] = kind.best(state) ?? [];
      controls.forEach((control) => control.mark(control.name === name ? value : null));
    }, 200);
  };
  el.append(make("div", { class: "mmalign-alignment", role: "group", "aria-label": kind.title },
    make("div", { class: "mmalign-controls" }, ...controls.map((control) => control.element), buttons.element),
    make("div", { class: "mmalign-panels" }, ...panels.map((panel) => panel.element)),
    make("p", { class: "mmalign-legend" }, ...kind.legend(state))));
  update();
  const events = controls.map((control) => `change:${control.name}`);
  events.forEach((event) => model.on(event, update));
  return () => { buttons.stop(); clearTimeout(later); events.forEach((event) => model.off(event, update)); };
}

export default { render };
