"""The checks that every configuration and reader uses."""

import math

import pytest

from mmalign import InputError
from mmalign.data.source import as_array
from mmalign.errors import ABOVE_0, AT_LEAST_0, BELOW_1, SHARE, SHARE_OR_0, check, line_of, one_of, whole


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (ABOVE_0, [1e-9, 1, 3.5], [0, -1, math.nan, math.inf, "1", None, True]),
        (AT_LEAST_0, [0, 0.0, 2], [-1e-9, math.nan, math.inf]),
        (SHARE, [1e-9, 0.5, 1], [0, 1.0001, -1, math.nan]),
        (SHARE_OR_0, [0, 1], [-0.1, 1.1]),
        (BELOW_1, [0, 0.999], [1, -0.1]),
        (whole(2), [2, 10**30], [1, 2.0, "2", True, None]),
    ],
)
def test_a_rule_takes_what_it_says_and_nothing_else(rule, good, bad):
    for value in good:
        check("it", value, rule)
    for value in bad:
        with pytest.raises(InputError) as caught:
            check("it", value, rule)
        assert str(caught.value) == f"it must be {rule.expected}, found {value!r}"


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(InputError, match="unknown colour 'blue'; known: red, green"):
        one_of("colour", "blue", ("red", "green"))


def test_an_input_error_is_a_value_error():
    assert issubclass(InputError, ValueError)


@pytest.mark.parametrize("said", ["", "\n", " \n \n"])
def test_an_error_that_says_nothing_is_named_by_its_kind(said):
    assert line_of(MemoryError(said)) == "MemoryError"
    assert line_of(OSError(f"{said}first\nsecond")) == "first"


def test_an_array_that_cannot_be_read_for_no_reason_is_refused():
    class Silent:
        def __array__(self, *_, **__):
            raise ValueError

    with pytest.raises(InputError, match=r"audio: features .* found ValueError"):
        as_array("audio", "features", Silent())
