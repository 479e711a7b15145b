"""Of the theme's two thousand icons, 1.4 MB on every page, the rendered book keeps those that it names."""

import re
from pathlib import Path

# One of Font Awesome's drawings: its name, its size, its other names, its letter, its path or two.
ICON = re.compile(r'(?<=[{,])"?([\w-]+)"?:\[\d+,\d+,(\[[^\]]*\]),"\w*",(?:"[^"]*"|\[[^\]]*\])\],?')
NAME = re.compile(r"\bfa-([a-z0-9-]+)")


def setup(app):
    app.connect("build-finished", keep_named)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def keep_named(app, exception):
    """In the pages a reader finds them by class, and so do the theme's own scripts."""
    script = Path(app.outdir, "_static/scripts/fontawesome.js")
    if exception is None and script.exists():
        others = [path for path in script.parent.glob("*.js") if path != script]
        named = {
            name
            for path in [*Path(app.outdir).rglob("*.html"), *others]
            for name in NAME.findall(path.read_text("utf-8"))
        }
        script.write_text(without_others(script.read_text("utf-8"), named), encoding="utf-8")


def without_others(script: str, named: set[str]) -> str:
    """Font Awesome's script with the drawings of these names alone."""
    return ICON.sub(lambda icon: icon[0] if named & {icon[1], *re.findall(r"[\w-]+", icon[2])} else "", script)
