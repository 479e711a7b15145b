"""One figure a chapter is the one to keep: that of the cell tagged `takeaway`. It is marked; one page holds all."""

import html
import json
import re
from pathlib import Path
from urllib.parse import quote

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from mmalign_book import NARROW

MARK = "The figure to keep"


def kept(path):
    """The tagged cell of a chapter."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return next(cell for cell in cells if "takeaway" in cell["metadata"].get("tags", []))


def picture(cell):
    """(HTML of the picture, its caption as Markdown): a figure as a phone sees it, or the still twin of a widget."""
    data = next(output["data"] for output in cell["outputs"] if {NARROW, "text/html"} & {*output.get("data", {})})
    if NARROW not in data:
        return re.search(r"<img[^>]*>", "".join(data["text/html"])).group(), ""
    about = cell["metadata"]["mystnb"]
    source = html.escape(quote("".join(data[NARROW]), safe=" !'()*,-./:;=?@[]_~+$"), quote=False)  # base64 is longer
    image = f'<img alt="{html.escape(about["image"]["alt"])}" src="data:image/svg+xml;charset=utf-8,{source}">'
    return image, about["figure"]["caption"]


class Takeaways(Directive):
    """All of them, in the order of the chapters: `{takeaways}`."""

    def run(self):
        environment = self.state.document.settings.env
        grid = nodes.container(classes=["mm-takeaways"])
        for path in sorted(Path(environment.srcdir, "notebooks").glob("*.ipynb")):
            environment.note_dependency(str(path))
            image, caption = picture(kept(path))
            card = nodes.container(classes=["mm-kept"])
            card += nodes.raw("", image, format="html")
            words = f"**{{doc}}`/notebooks/{path.stem}`**  \n{caption}"
            self.state.nested_parse(StringList(words.split("\n"), path.name), 0, card)
            grid += card
        return [grid]


def mark(app, doctree):
    """Above the figure it says what it is."""
    for cell in [*doctree.findall(nodes.container)]:
        if "tag_takeaway" in cell["classes"]:
            cell.parent.insert(cell.parent.index(cell), nodes.paragraph("", MARK, classes=["mm-takeaway"]))


def setup(app):
    app.add_directive("takeaways", Takeaways)
    app.connect("doctree-read", mark)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
