"""The one error that is the reader's to mend, and the checks that raise it."""

import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import NamedTuple


class InputError(ValueError):
    """Something given from outside is wrong: a name, a value, a file.

    The message is one line that says what was found and what was expected. The command line prints
    it and exits with status 2; anything else that escapes is a defect of ours.
    """


class Diverged(InputError):
    """A training whose loss is no longer a number: other settings may mend it, going on cannot."""


class Rule(NamedTuple):
    """What a value must be, in words and as a test."""

    expected: str
    holds: Callable[[object], bool]
    known: tuple[str, ...] = ()  # where only a few names are allowed


def choice(known: tuple[str, ...]) -> Rule:
    """One of a few names."""
    return Rule(f"one of {', '.join(known)}", lambda value: value in known, known)


def _is(value: object, kind: type) -> bool:
    """Whether it is such a number, of Python or numpy; True and False are none."""
    return isinstance(value, kind) and not isinstance(value, bool)


def whole(least: int) -> Rule:
    """A whole number of at least `least`."""
    return Rule(f"a whole number of at least {least}", lambda value: _is(value, Integral) and value >= least)


def number(expected: str, holds: Callable[[float], bool]) -> Rule:
    """A finite number that `holds`."""
    return Rule(expected, lambda value: _is(value, Real) and math.isfinite(value) and holds(value))


ABOVE_0 = number("a number above 0", lambda value: value > 0)
AT_LEAST_0 = number("a number of at least 0", lambda value: value >= 0)
SHARE = number("a share in (0, 1]", lambda value: 0 < value <= 1)
SHARE_OR_0 = number("a share in [0, 1]", lambda value: 0 <= value <= 1)
FLAG = Rule("true or false", lambda value: isinstance(value, bool))
SEED = Rule("a whole number from 0 to 2**32 - 1", lambda value: _is(value, Integral) and 0 <= value < 2**32)
BELOW_1 = number("a share in [0, 1)", lambda value: 0 <= value < 1)


def check(name: str, value: object, rule: Rule) -> None:
    """Raise `InputError` unless `value` obeys `rule`.

    >>> check("width", 0, whole(1))
    Traceback (most recent call last):
    mmalign.errors.InputError: width must be a whole number of at least 1, found 0
    """
    if rule.known:
        one_of(name, value, rule.known)
    elif not rule.holds(value):
        raise InputError(f"{name} must be {rule.expected}, found {value!r}")


def check_fields(config: object, **rules: Rule) -> None:
    """`check` some fields of a configuration."""
    for name, rule in rules.items():
        check(name, getattr(config, name), rule)


def one_of(what: str, found: object, known: object) -> None:
    """Raise `InputError` unless `found` is among `known`."""
    if found not in known:
        raise InputError(f"unknown {what} {found!r}; known: {', '.join(map(str, known))}")
