// What scrolls sideways can be reached, and so scrolled, with the keyboard: not every browser sees to it by itself.
const reach = () => {
  for (const box of document.querySelectorAll(".bd-article :is(table, pre, .output)")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
};

window.addEventListener("load", reach);
window.addEventListener("resize", reach);
