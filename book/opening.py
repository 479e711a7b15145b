"""Writes the picture of the README from what chapter "Start here" has stored.

python book/opening.py
"""

import json
import re
from base64 import b64decode
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CHAPTER = ROOT / "notebooks/00_start_here.ipynb"
PICTURE = ROOT / "book/_static/opening.svg"


def opening() -> str:
    """The still twin of the first picture, as SVG."""
    for cell in json.loads(CHAPTER.read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", []):
            page = "".join(output.get("data", {}).get("text/html", ""))
            if "&quot;kind&quot;:&quot;story&quot;" in page:
                return b64decode(re.search(r'src="data:image/svg\+xml;base64,([^"]+)"', page).group(1)).decode()
    raise SystemExit(f"{CHAPTER} holds no first picture; run `make refresh`")


if __name__ == "__main__":
    PICTURE.write_text(opening() + "\n", encoding="utf-8")
