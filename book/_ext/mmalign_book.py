"""The book's own Sphinx extension: everything a page needs lies beside it, so that it reads offline.

* MathJax is copied from the installed `sphinx-mathjax-offline`, without the parts that no page uses.
* The parts in `mmalign/figures/static/*.js`, joined in the order of their names, are one ES module, as
  anywidget wants it. It becomes a classic script: a browser refuses to load a module into a page that was opened
  as a file.
"""

import json
import os
import re
from hashlib import sha256
from html import escape
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path
from runpy import run_path
from shutil import copytree
from types import SimpleNamespace

from docutils import nodes
from docutils.parsers.rst import Directive

NARROW = "application/vnd.mmalign.narrow"  # of mmalign.figures.pages
SENTENCE = "MM-Align rebuilt, explained, tested and measured: what stands in for a sequence that is missing."
MATHJAX_PARTS = ["output/chtml/fonts/woff-v2", "input/tex/extensions", "a11y", "sre", "ui"]


class Borrowed(Directive):
    """A moving picture that a stored chapter holds, on another page: `{moving} notebooks/NAME KIND`."""

    required_arguments = 2

    def run(self):
        chapter, kind = self.arguments
        environment = self.state.document.settings.env
        path = Path(environment.srcdir, f"{chapter}.ipynb")
        environment.note_dependency(str(path))
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            for output in cell.get("outputs", []):
                page = "".join(output.get("data", {}).get("text/html", ""))
                if f"&quot;kind&quot;:&quot;{kind}&quot;" in page:
                    return [nodes.raw("", page, format="html")]
        raise self.error(f"{chapter} holds no moving picture of the kind {kind!r}")


class Legend(Directive):
    """The roles, each with its colour, its marker and the names that go by it: `{palette}`."""

    def run(self):
        palette = run_path(str(installed("mmalign") / "figures/palette.py"))
        rows = "".join(
            f'<tr><td><span class="mm-swatch" style="background: var(--mm-{role})"></span> {role}</td>'
            f"<td>{names}</td></tr>"
            for role, names in palette["NAMES"].items()
        )
        head = "<thead><tr><th>colour</th><th>stands for</th></tr></thead>"
        return [nodes.raw("", f'<table class="table">{head}<tbody>{rows}</tbody></table>', format="html")]


def setup(app):
    app.add_directive("moving", Borrowed)
    app.add_directive("palette", Legend)
    app.add_css_file("mmalign.css")
    app.add_js_file("mmalign.js", loading_method="defer")
    app.connect("builder-inited", add_mathjax)
    app.connect("builder-inited", add_widgets)
    app.connect("builder-inited", prepare_one_page)
    app.connect("builder-inited", drop_dead_buttons)
    app.connect("builder-inited", add_narrow_figures)
    app.connect("html-page-context", mend_references)
    app.connect("html-page-context", offer_narrow_figures)
    app.connect("html-page-context", name_proofs)
    app.connect("html-page-context", describe_link)
    app.connect("html-page-context", lead_to_colab, priority=600)  # after the theme has made its buttons
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def add_mathjax(app):
    installed = Path(distribution("sphinx-mathjax-offline").locate_file("sphinx-mathjax-offline/static/mathjax"))
    target = Path(app.outdir, "_static", "mathjax")
    target.mkdir(parents=True, exist_ok=True)
    (target / "tex-chtml-full.js").write_bytes((installed / "tex-chtml-full.js").read_bytes())
    for part in MATHJAX_PARTS:
        copytree(installed / part, target / part, dirs_exist_ok=True)


def prepare_one_page(app):
    """For `make pdf`: some extensions name the builder `singlehtml`, which hides what the others say of `html`."""
    handlers = app.registry.translation_handlers
    handlers["singlehtml"] = handlers["html"] | handlers.get("singlehtml", {})


def drop_dead_buttons(app):
    """Binder and Colab have nothing to launch until `_config.yml` knows the address of the repository."""
    options = app.config.html_theme_options
    if not options.get("repository_url"):
        options.pop("launch_buttons", None)


def lead_to_colab(app, page, template, context, doctree):
    """Colab's buttons lead to the branch whose chapters begin with a cell that installs (book/colab.py)."""
    branch = app.config.html_theme_options.get("repository_branch")
    for group in context.get("header_buttons", []):
        for button in group.get("buttons", []):
            if button["text"] == "Colab":
                button["url"] = button["url"].replace(f"/blob/{branch}/", "/blob/colab/", 1)


def mend_references(app, page, template, context, doctree):
    """Entries of the bibliography become items of their list: docutils gives them a role that no reader knows now."""
    if "body" in context:
        context["body"] = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')


FOLDED_PROOF = re.compile(r'<div class="proof dropdown admonition"[^>]*>\s*<p>Proof\. ')


def name_proofs(app, page, template, context, doctree):
    """A proof that folds gets the title on which a reader presses; without one the script of all folds would stop."""
    if "body" in context:
        title = '<div class="proof dropdown admonition"><p class="admonition-title">Proof</p><p>'
        context["body"] = FOLDED_PROOF.sub(title, context["body"])


def describe_link(app, page, template, context, doctree):
    """What other pages show of a link to this one: its title, a picture, one sentence (ogp.me)."""
    if "pathto" not in context or app.builder.name != "html":
        return
    home = app.config.html_baseurl.rstrip("/")  # a picture needs a whole address; without one, the way from this page
    picture = f"{home}/_static/share.png" if home else context["pathto"]("_static/share.png", 1)
    about = {
        "og:type": "article",
        "og:site_name": app.config.html_title or app.config.project,
        "og:title": plain(context.get("title", "")),
        "og:description": SENTENCE,
        "og:image": picture,
        "og:image:width": "1200",
        "og:image:height": "630",
        "og:image:alt": "Letters of a word, lines to its sounds, and below the sounds that the letters alone imagine",
    }
    tags = [f'<meta property="{name}" content="{escape(words)}" />' for name, words in about.items()]
    tags.append(f'<meta name="description" content="{escape(SENTENCE)}" />')
    tags.append('<meta name="twitter:card" content="summary_large_image" />')
    context["metatags"] = "\n".join([context.get("metatags", ""), *tags])


def plain(title):
    """A title without its tags."""
    return re.sub(r"<[^>]+>", "", title)


def add_narrow_figures(app):
    """Beside each vector figure of a chapter, in `_images`, its twin for a phone, named after it as myst-nb does."""
    target = Path(app.outdir, "_images")
    target.mkdir(parents=True, exist_ok=True)
    for chapter in Path(app.srcdir, "notebooks").glob("*.ipynb"):
        for cell in json.loads(chapter.read_text(encoding="utf-8"))["cells"]:
            for data in [output.get("data", {}) for output in cell.get("outputs", [])]:
                if NARROW in data:
                    wide = os.linesep.join("".join(data["image/svg+xml"]).splitlines()).encode()
                    name = f"{sha256(wide).hexdigest()}-narrow.svg"
                    (target / name).write_text("".join(data[NARROW]), encoding="utf-8")


def offer_narrow_figures(app, page, template, context, doctree):
    """The browser takes the figure that fits its screen."""

    def offer(found):
        image, address = found.group(0), found.group(1)
        twin = f"{address.removesuffix('.svg')}-narrow.svg"
        if not Path(app.outdir, "_images", Path(twin).name).exists():
            return image
        return f'<picture><source media="(max-width: 600px)" srcset="{twin}">{image}</picture>'

    if "body" in context:
        context["body"] = re.sub(r'<img [^>]*src="([^"]*_images/[0-9a-f]{64}\.svg)"[^>]*>', offer, context["body"])


def installed(name):
    """The folder of a package, found without importing it."""
    return Path(find_spec(name).origin).parent


def add_widgets(app):
    static = installed("mmalign") / "figures/static"
    parts = sorted(static.glob("*.js"))
    palette = SimpleNamespace(**run_path(str(static.parent / "palette.py")))
    widget = as_classic("\n".join([palette.javascript(), *(path.read_text(encoding="utf-8") for path in parts)]))
    target = Path(app.outdir, "_static")
    target.mkdir(parents=True, exist_ok=True)
    host = Path(__file__).with_name("widget_host.js").read_text(encoding="utf-8")
    script = "\n".join(["(() => {", '"use strict";', widget, host, "})();"])
    (target / "mmalign-widgets.js").write_text(script + "\n", encoding="utf-8")
    app.add_js_file("mmalign-widgets.js", loading_method="defer")
    styles = [palette.css(), *(path.read_text(encoding="utf-8") for path in sorted(static.glob("*.css")))]
    (target / "mmalign-widgets.css").write_text("\n".join(styles), encoding="utf-8")
    app.add_css_file("mmalign-widgets.css")


def as_classic(source: str) -> str:
    """An ES module as the constant `widget`, what its function body returns: its default export.

    The module stands alone (no `import`) and exports in two ways only: `export default ...` and `export`
    before a declaration. Anything else stops the build.
    """
    source = re.sub(r"^export default ", "const exported = ", source, flags=re.MULTILINE)
    source = re.sub(r"^export (?=(async )?function|const|let|class)", "", source, flags=re.MULTILINE)
    stray = re.search(r"^(import|export)\b.*", source, flags=re.MULTILINE)
    if stray or "const exported = " not in source:
        found = stray.group() if stray else "no default export"
        raise ValueError(f"the parts in mmalign/static must stand alone with an `export default`, found: {found}")
    return f"const widget = (() => {{\n{source}\nreturn exported;\n}})();"
