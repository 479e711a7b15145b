"""Writes the picture of the README and the one that a shared link shows, from what chapter "Start here" has stored.

python book/opening.py
"""

import html
import io
import json
import re
from base64 import b64decode
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CHAPTER = ROOT / "notebooks/00_start_here.ipynb"
PICTURE = ROOT / "book/_static/opening.svg"
SHARED = ROOT / "book/_static/share.png"


def first_picture() -> str:
    """The first picture as the chapter holds it, HTML."""
    for cell in json.loads(CHAPTER.read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", []):
            page = "".join(output.get("data", {}).get("text/html", ""))
            if "&quot;kind&quot;:&quot;story&quot;" in page:
                return page
    raise SystemExit(f"{CHAPTER} holds no first picture; run `make refresh`")


def opening() -> str:
    """Its still twin, as SVG."""
    return b64decode(re.search(r'src="data:image/svg\+xml;base64,([^"]+)"', first_picture()).group(1)).decode()


def shared() -> bytes:
    """The same on a card of 1200 x 630 pixels, as PNG: what other pages show of a link to this book."""
    import matplotlib.pyplot as plt

    from mmalign.figures import palette, widgets

    state = json.loads(html.unescape(re.search(r'data-state="([^"]+)"', first_picture()).group(1)))
    names = ("letters", "sounds", "imagined", "cost", "predicted")
    words = [{name: word[name] for name in names} for word in state["words"]]
    figure = widgets.Story(words, window=state["window"], mu=state["mu"]).draw()
    figure.set_layout_engine("none")
    figure.set_size_inches(12, 6.3)
    figure.axes[0].set_position((0.1, 0.08, 0.86, 0.56))
    for words in figure.axes[0].texts:
        words.set_fontsize(1.5 * words.get_fontsize())
    figure.text(0.05, 0.86, "MM-Align, step by step", fontsize=44, fontweight="bold", color="#222222")
    line = "When one of two sequences is missing: align, imagine, and measure"
    figure.text(0.05, 0.76, line, fontsize=20, color=palette.INK)
    memory = io.BytesIO()
    figure.savefig(memory, format="png", dpi=100, facecolor="white", metadata={"Software": None})
    plt.close(figure)
    return memory.getvalue()


if __name__ == "__main__":
    PICTURE.write_text(opening() + "\n", encoding="utf-8")
    SHARED.write_bytes(shared())
