// Stands in for anywidget's model on a page without Python: the state is what the page was stored with,
// setting a value calls the listeners, and there is nobody to save changes to.
function standInModel(state) {
  const listeners = new Map();
  const tell = (event, ...args) => (listeners.get(event) ?? []).forEach((listener) => listener(...args));
  return {
    get: (name) => state[name],
    set(name, value) {
      if (Object.is(state[name], value)) return;
      state[name] = value;
      tell(`change:${name}`, this, value);
      tell("change", this);
    },
    on(events, listener) {
      for (const event of events.split(" ")) listeners.set(event, [...(listeners.get(event) ?? []), listener]);
    },
    off(event, listener) {
      if (!event) listeners.clear();
      else listeners.set(event, (listeners.get(event) ?? []).filter((other) => listener && other !== listener));
    },
    save_changes() {},
    send() {},
  };
}

// Each placeholder holds a picture. It gives way to the widget only once the widget has drawn itself.
for (const place of document.querySelectorAll("div.mmalign-widget[data-widget]")) {
  const el = document.createElement("div");
  try {
    const model = standInModel(JSON.parse(place.dataset.state));
    Promise.resolve(widget.render({ model, el }))
      .then(() => place.replaceChildren(el))
      .catch((error) => console.error("widget:", error));
  } catch (error) {
    console.error("widget:", error);
  }
}
