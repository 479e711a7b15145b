// The page: controls that write the state, panels that are drawn from it, read-outs in full precision.

function makeSlider(model, { name, label, least, most, step, toSlider, toModel, unit }) {
  const input = make("input", { type: "range", name, min: least, max: most, step });
  const shown = make("output");
  input.addEventListener("input", () => {
    model.set(name, toModel(Number(input.value)));
    model.save_changes();
  });
  return { input, element: make("label", {}, make("span", {}, label), input, shown), show() {
    input.value = toSlider(model.get(name));
    shown.textContent = short(model.get(name));
    input.setAttribute("aria-valuetext", `${shown.textContent} ${unit}`.trim());
  } };
}

function makeChoice(model, { name, label, options }) {
  const input = make("select", { name }, ...options.map(([, words], place) => make("option", { value: place }, words)));
  input.addEventListener("change", () => {
    model.set(name, options[input.selectedIndex][0]);
    model.save_changes();
  });
  return { input, element: make("label", {}, make("span", {}, label), input),
    show: () => { input.selectedIndex = options.findIndex(([value]) => value === model.get(name)); } };
}

function makeControl(model, control) {
  const made = control.options ? makeChoice(model, control) : makeSlider(model, control);
  made.input.addEventListener("keydown", (event) => event.stopPropagation());   // JupyterLab would take the arrow keys
  return { ...made, name: control.name, show() {
    made.show();
    made.element.hidden = control.when ? !control.when() : false;
  } };
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
    facts.replaceChildren(...Object.entries(panel.facts).map(([name, value]) => make("div", {},
      make("dt", {}, name), make("dd", {}, make("data", { value, "data-name": name }, short(value))))));
    warning.textContent = panel.warning ?? "";
  } };
}

function render({ model, el }) {
  const kind = KINDS[model.get("kind")], state = (name) => model.get(name);
  const controls = kind.controls(state).map((control) => makeControl(model, control));
  const panels = kind.panels(state).map(makePanel);
  const update = () => {
    controls.forEach((control) => control.show());
    kind.panels(state).forEach((panel, place) => panels[place].show(panel));
  };
  el.append(make("div", { class: "mmalign-alignment", role: "group", "aria-label": kind.title },
    make("div", { class: "mmalign-controls" }, ...controls.map((control) => control.element)),
    make("div", { class: "mmalign-panels" }, ...panels.map((panel) => panel.element)),
    make("p", { class: "mmalign-legend" }, ...kind.legend(state))));
  update();
  const events = controls.map((control) => `change:${control.name}`);
  events.forEach((event) => model.on(event, update));
  return () => events.forEach((event) => model.off(event, update));
}

export default { render };
