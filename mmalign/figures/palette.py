"""One colour for each role, in every figure of the book: drawn by Python, by the page, or by a style sheet.

What a model sees and the model that sees it share a colour: `single` has the visible sequence, `double` the victim too,
`mm-align` imagines it. Every colour reads on white and on near-black, and all are told apart by colour-blind readers;
where two come close, their markers differ. This file imports nothing but `json`: the book's extension runs it alone.
"""

import json

INK = "#7a7a7a"  # axes and words: readable on white and on near-black
COLOURS = {
    "visible": "#0072B2",
    "victim": "#D55E00",
    "imagined": "#CC6FB0",
    "ours": "#009E73",  # what this book adds
    "other": "#767676",  # rivals and simple answers
    "neighbour": "#7A5C00",
}
MARKERS = {"visible": "o", "victim": "s", "imagined": "D", "ours": "^", "other": "v", "neighbour": "P"}
# What else goes by a role's colour: names of systems, and how the chapters call a sequence.
NAMES = {
    "visible": "visible, visible sequence, single, acc, letters",
    "victim": "victim, true victim, the true victim, double, gyro, sounds",
    "imagined": "imagined, imputed, stand-in, the stand-in, mm-align, mm-align-official",
    "ours": "mm-align-plus, plus",
    "other": "zero-fill, copy, mfm, smil, modal-trans, translator, constant, trees, trees-both",
    "neighbour": "late-fusion, late fusion, mla, deepmlf, scale, deep-sets, sets",
}
ROLE = {name.strip(): role for role, names in NAMES.items() for name in names.split(",")}
SERIES = ("#00224e", "#5d616d", "#a39563", "#2f4a6d", "#7c7b78", "#c8b052")  # without a role: told apart by lightness


def role(label: str) -> str | None:
    """The role that a label names, by its first words; None where it names none.

    >>> role("mm-align, few labels"), role("true victim"), role("W = 4")
    ('imagined', 'victim', None)
    """
    label = label.replace("`", "").lower().strip()
    fits = [name for name in ROLE if label == name or label.startswith((f"{name} ", f"{name},", f"{name}:"))]
    return ROLE[max(fits, key=len)] if fits else None


def colour(label: str, place: int = 0) -> str:
    """The colour of what a label names; of a series without a role, the shade of its place."""
    return COLOURS[role(label)] if role(label) else SERIES[place % len(SERIES)]


def marker(label: str, place: int = 0) -> str:
    """The marker that goes with the colour."""
    return MARKERS[role(label)] if role(label) else "ospDvX"[place % 6]


def javascript() -> str:
    """The same for a page: a constant that the drawings read."""
    return f"const PALETTE = {json.dumps(COLOURS | {'ink': INK})};"


def css() -> str:
    """The same for a style sheet."""
    return ":root { " + " ".join(f"--mm-{name}: {shade};" for name, shade in [*COLOURS.items(), ("ink", INK)]) + " }"
