"""What an annotation says of a setting is what is checked."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pytest

from mmalign import Condition, InputError
from mmalign.errors import ABOVE_0
from mmalign.registry import SYSTEMS
from mmalign.settings import Settings, described, settings


@dataclass(frozen=True, kw_only=True)
class Oven(Settings):
    """All kinds of fields."""

    mode: Annotated[Literal["bake", "grill"], "where the heat comes from"] = "bake"
    degrees: Annotated[float, ABOVE_0, "in Celsius"] = 180.0
    fan: bool = False
    timer: Annotated[float, ABOVE_0] | None = None
    label: str = ""


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"mode": "boil"}, "unknown mode 'boil'; known: bake, grill"),
        ({"degrees": 0.0}, "degrees must be a number above 0, found 0.0"),
        ({"fan": 1}, "fan must be true or false, found 1"),
        ({"timer": -3.0}, "timer must be a number above 0, or none, found -3.0"),
    ],
)
def test_each_kind_of_rule_is_checked(change, says):
    with pytest.raises(InputError, match=says):
        Oven(**change)


def test_what_no_rule_forbids_is_taken():
    assert Oven(timer=None, label="anything").timer is None and Oven(mode="grill", timer=3.0).timer == 3.0


@dataclass(frozen=True, kw_only=True)
class Kettle(Settings):
    """A setting that is read only where another is on."""

    only_with = {"degrees": {"keep_warm": True}}  # noqa: RUF012, a class variable, as in `Settings`

    keep_warm: bool = False
    degrees: Annotated[float, ABOVE_0] = 80.0


def test_a_setting_without_effect_is_refused_and_of_a_preset_left_out():
    with pytest.raises(InputError, match=r"degrees=60\.0 would have no effect: it goes with keep_warm on"):
        Kettle(degrees=60.0)
    assert Kettle(keep_warm=True, degrees=60.0).degrees == 60.0
    assert settings(Kettle, {"degrees": 60.0}).degrees == 80.0
    assert settings(Kettle, {"degrees": 60.0}, keep_warm=True).degrees == 60.0
    with pytest.raises(InputError, match="no effect"):
        settings(Kettle, {}, degrees=60)


def test_a_field_is_described_by_its_annotation():
    told = {one.name: one for one in described(Oven)}
    assert [*told] == ["mode", "degrees", "fan", "timer", "label"]
    assert told["mode"].about == "where the heat comes from" and told["mode"].rule.known == ("bake", "grill")
    assert told["degrees"].default == 180.0 and told["label"].rule is None and told["fan"].about == ""


def test_a_condition_with_every_victim_keeps_who_stands_where():
    condition = Condition(pair=("a", "b"), survival=0.2, setting="A", seed=7, labelled=0.5)
    assert condition.whole == Condition(pair=("a", "b"), survival=1.0, setting="B", seed=7, labelled=0.5)


def test_the_page_of_all_settings_is_what_the_annotations_say():
    path = Path(__file__).parents[1] / "book/settings.py"
    maker = importlib.util.module_from_spec(spec := importlib.util.spec_from_file_location("settings_page", path))
    spec.loader.exec_module(maker)
    assert maker.PAGE.read_text(encoding="utf-8") == maker.page(), "run: python book/settings.py"


@pytest.mark.parametrize("kind", sorted({entry.kind.config_type for entry in SYSTEMS.values()}, key=str))
def test_every_setting_says_what_it_is(kind):
    assert [one.name for one in described(kind) if not one.about] == []
