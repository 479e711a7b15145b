"""What an annotation says of a setting is what is checked."""

from dataclasses import dataclass
from typing import Annotated, Literal

import pytest

from mmalign import Condition, InputError
from mmalign.errors import ABOVE_0
from mmalign.settings import Settings, described


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


def test_a_field_is_described_by_its_annotation():
    told = {one.name: one for one in described(Oven)}
    assert [*told] == ["mode", "degrees", "fan", "timer", "label"]
    assert told["mode"].about == "where the heat comes from" and told["mode"].rule.known == ("bake", "grill")
    assert told["degrees"].default == 180.0 and told["label"].rule is None and told["fan"].about == ""


def test_a_condition_with_every_victim_keeps_who_stands_where():
    condition = Condition(pair=("a", "b"), survival=0.2, setting="A", seed=7, labelled=0.5)
    assert condition.whole == Condition(pair=("a", "b"), survival=1.0, setting="B", seed=7, labelled=0.5)
