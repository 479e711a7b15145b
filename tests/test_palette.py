"""One colour a role: told apart by everyone, readable on both grounds, and the same in every figure of the book."""

import html
import itertools
import json
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest

from mmalign import registry
from mmalign.figures import pages, palette, widgets

CHAPTERS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))
# Machado, Oliveira and Fernandes (2009), severity 1: what linear RGB becomes for those who lack one sort of cone.
SIGHTS = {
    "all three cones": np.eye(3),
    "no long waves": [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]],
    "no middle waves": [[0.3673, 0.8606, -0.2280], [0.2803, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]],
    "no short waves": [[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]],
}


def linear(shade):
    """#rrggbb -> (3,) amounts of light."""
    part = np.array([int(shade[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)


def lab(light):
    """CIE L*a*b*: where distances are what an eye sees."""
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ np.clip(
        light, 0, 1
    )
    xyz = xyz / [0.9505, 1, 1.089]
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("sight", SIGHTS)
def test_two_roles_are_told_apart_by_everyone(sight):
    seen = {role: lab(np.array(SIGHTS[sight]) @ linear(shade)) for role, shade in palette.COLOURS.items()}
    close = {
        pair: np.linalg.norm(seen[pair[0]] - seen[pair[1]]).round(1)
        for pair in itertools.combinations(seen, 2)
        if np.linalg.norm(seen[pair[0]] - seen[pair[1]]) < 10  # 2.3 is just seen, side by side
    }
    assert close == {}
    assert len({*palette.MARKERS.values()}) == len(palette.COLOURS)


@pytest.mark.parametrize("ground", ["#ffffff", "#121212"])
def test_a_colour_is_seen_in_the_light_and_in_the_dark(ground):
    luminance = lambda shade: linear(shade) @ [0.2126, 0.7152, 0.0722]  # noqa: E731
    for role, shade in palette.COLOURS.items():
        low, high = sorted([luminance(shade), luminance(ground)])
        assert (high + 0.05) / (low + 0.05) > 2.95, role  # WCAG asks 3 of a picture


def test_every_system_has_a_role():
    assert [name for name in registry.SYSTEMS if palette.role(name) is None] == []


def test_page_and_style_sheet_have_the_same_colours():
    assert json.loads(re.search(r"{.*}", palette.javascript()).group()) == palette.COLOURS | {"ink": palette.INK}
    assert set(re.findall("#[0-9a-fA-F]{6}", palette.css())) == {*palette.COLOURS.values(), palette.INK}
    assert palette.javascript() in widgets.MODULE and palette.css() in widgets.STYLE


def test_no_script_names_a_colour_of_its_own_for_a_role():
    shades = {shade.lower() for shade in palette.COLOURS.values()}
    for path in [*widgets.STATIC.glob("*.js"), *widgets.STATIC.glob("*.css")]:
        assert not shades & {found.lower() for found in re.findall("#[0-9a-fA-F]{6}", path.read_text())}, path.name


def legends(path):
    """What the legends of a stored chapter name -> the colour that it has there."""
    for cell in nbformat.read(path, as_version=4).cells:
        for data in [output.get("data", {}) for output in cell.get("outputs", [])]:
            for told in re.findall(r"<dc:description>(.*?)</dc:description>", data.get("image/svg+xml", "")):
                yield from json.loads(html.unescape(told)).items()


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_role_has_its_one_colour_in_every_figure(path):
    wrong = {
        label: shade for label, shade in legends(path) if palette.role(label) and shade != palette.colour(label).lower()
    }
    assert wrong == {}


def test_every_stored_figure_tells_its_colours():
    for path in CHAPTERS:
        for cell in nbformat.read(path, as_version=4).cells:
            for output in cell.get("outputs", []):
                data = output.get("data", {})
                if "text/html" not in data:
                    assert "image/png" not in data, f"{path.stem}, {cell.id}: run `make refresh`"
                    assert ("image/svg+xml" in data) == (pages.NARROW in data), f"{path.stem}, {cell.id}"
