"""Writes `settings.md`, the reference page of all settings, from their annotations: `python book/settings.py`."""

import json
from collections.abc import Iterator
from pathlib import Path

from mmalign.config import Condition, TrainConfig
from mmalign.registry import SYSTEMS
from mmalign.settings import Setting, Settings, described, in_words

PAGE = Path(__file__).with_name("settings.md")
HEAD = """# Settings

Every setting of every system, with its default, what it may be, and what it is. This page is written by
`python book/settings.py` from the annotations in the code, and a test keeps it so. `code:` marks what the paper's
released code does instead. A setting that would have no effect is refused, so that two runs that compute the same
have the same name.
"""


def page() -> str:
    """The whole page."""
    kinds: dict[type[Settings], list[str]] = {}
    for name, entry in SYSTEMS.items():
        kinds.setdefault(entry.kind.config_type, []).append(name)
    parts = [
        HEAD,
        "## Of a run\n\n`mmalign run --NAME VALUE`, and the arguments of `mmalign.load`.",
        table(described(Condition)),
        "## Of the training\n\n`--set train.NAME=VALUE`, and `mmalign.TrainConfig`.",
        table(described(TrainConfig)),
    ]
    for kind, names in kinds.items():
        parts.append(f"## {', '.join(f'`{name}`' for name in names)}\n\n" + "\n\n".join(of_a_system(kind, names)))
    return "\n\n".join(part.strip() for part in parts) + "\n"


def of_a_system(kind: type[Settings], names: list[str]) -> Iterator[str]:
    """What it is, its table, and what a preset changes."""
    fields = described(kind)
    yield f"`--set model.NAME=VALUE`, and `{kind.__name__}`: {(kind.__doc__ or '').splitlines()[0]}"
    yield table(fields) if fields else "There is nothing to set."
    for name in names:
        entry = SYSTEMS[name]
        for section, changes in (("model", entry.model), ("train", entry.train)):
            if changes:
                told = ", ".join(f"`{section}.{key}={value}`" for key, value in changes.items())
                yield f"`{name}` starts from {told}."


def table(fields: tuple[Setting, ...]) -> str:
    """A row a setting."""
    rows = [f"| `{one.name}` | {default(one)} | {allowed(one)} | {meaning(one)} |" for one in fields]
    return "\n".join(["| setting | default | may be | what it is |", "|---|---|---|---|", *rows])


def default(one: Setting) -> str:
    """As it is typed; nothing where a run must say it or the data set does."""
    shown = one.default if isinstance(one.default, str) else json.dumps(one.default, default=lambda _: "")
    return f"`{shown}`" if shown.strip('"') else ""


def allowed(one: Setting) -> str:
    """What its rule expects."""
    if one.rule is None:
        return ""
    return ", ".join(f"`{name}`" for name in one.rule.known) or plain(one.rule.expected)


def meaning(one: Setting) -> str:
    """Its words, and when it is read."""
    when = f" *With {in_words(one.needs)}.*" if one.needs else ""
    return plain(one.about) + when


def plain(text: str) -> str:
    """As it stands, where Markdown would read signs into it."""
    return text.replace("|", "\\|").replace("*", "\\*")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
