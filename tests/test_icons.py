"""Icons of the rendered book: those that it names, under every name they have, and no others."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "book/_ext"))
from icons import without_others

PACK = (
    'var p={"arrow-up":[384,512,[8593],"f062","M1 2z"],a:[1,2,["letter"],"41","M3 4z"],'
    'expand:[448,512,[],"f065",["M5z","M6z"]],"circle-half":[9,9,["adjust",9680],"f042","M7z"]};define("fas",p)'
)


def test_an_icon_is_kept_under_each_of_its_names():
    kept = '"arrow-up":[384,512,[8593],"f062","M1 2z"],"circle-half":[9,9,["adjust",9680],"f042","M7z"]'
    assert without_others(PACK, {"arrow-up", "adjust"}) == f'var p={{{kept}}};define("fas",p)'


def test_what_surrounds_the_icons_stays_as_it_is():
    assert without_others(PACK, set()) == 'var p={};define("fas",p)'
    assert without_others(PACK, {"arrow-up", "letter", "expand", "circle-half"}) == PACK
