"""The one error that is the reader's to mend, and the checks that raise it."""

import math
import re
from collections.abc import Callable, Collection
from numbers import Integral, Real
from typing import Any, NamedTuple

LONGEST = 1200  # letters of a message; what a file says of itself may have millions


def shown(text: object) -> str:
    """Text as a terminal may be shown it: letters that are none, such as control codes, are written out.

    >>> print(shown("green \\x1b[32m"))
    green \\x1b[32m
    """
    text = str(text)
    return text if text.isprintable() else "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text
    )  # fmt: skip


def told(value: object) -> str:
    """A value as a message names it, however large it is."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of too many digits, lists in lists
        return f"a {type(value).__name__} too large to be shown"
    return text if len(text) <= 200 else f"{text[:180]}... ({len(text)} letters)"


def line_of(error: BaseException) -> str:
    """The first line of what an error says, or at least its kind: some say nothing."""
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


class InputError(ValueError):
    """Something given from outside is wrong: a name, a value, a file.

    The message is one line that says what was found and what was expected, and holds nothing that a terminal
    would obey, whatever a file or a server put into it. The command line prints it and exits with status 2;
    anything else that escapes is a defect of ours.
    """

    def __init__(self, message: object = "") -> None:
        text = shown(re.sub(r"\s*[\r\n]\s*", " ", str(message)).strip())
        if len(text) > LONGEST:
            text = f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"
        super().__init__(text)


class Diverged(InputError):
    """A training whose loss is no longer a number: other settings may mend it, going on cannot."""


class Rule(NamedTuple):
    """What a value must be, in words and as a test."""

    expected: str
    holds: Callable[[Any], bool]
    known: tuple[str, ...] = ()  # where only a few names are allowed


def choice(known: tuple[str, ...]) -> Rule:
    """One of a few names."""
    return Rule(f"one of {', '.join(known)}", lambda value: value in known, known)


def _is(value: object, kind: type) -> bool:
    """Whether it is such a number, of Python or numpy; True and False are none."""
    return isinstance(value, kind) and not isinstance(value, bool)


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False


def whole(least: int, most: float = math.inf) -> Rule:
    """A whole number of at least `least`, and at most `most`."""
    expected = f"a whole number of at least {least}" if most == math.inf else f"a whole number from {least} to {most}"
    return Rule(expected, lambda value: _is(value, Integral) and least <= value <= most)


def number(expected: str, holds: Callable[[float], bool]) -> Rule:
    """A finite number that `holds`."""
    return Rule(expected, lambda value: _is(value, Real) and _finite(value) and holds(value))


ABOVE_0 = number("a number above 0", lambda value: value > 0)
AT_LEAST_0 = number("a number of at least 0", lambda value: value >= 0)
SHARE = number("a share in (0, 1]", lambda value: 0 < value <= 1)
SHARE_OR_0 = number("a share in [0, 1]", lambda value: 0 <= value <= 1)
FLAG = Rule("true or false", lambda value: isinstance(value, bool))
THREADS = whole(1, 256)  # many more end the process that asks for them
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
        return
    if not rule.holds(value):
        raise InputError(f"{name} must be {rule.expected}, found {told(value)}")


def check_fields(config: object, **rules: Rule) -> None:
    """`check` some fields of a configuration."""
    for name, rule in rules.items():
        check(name, getattr(config, name), rule)


def one_of(what: str, found: object, known: Collection[object]) -> None:
    """Raise `InputError` unless `found` is among `known`."""
    if found not in known:
        raise InputError(f"unknown {what} {told(found)}; known: {', '.join(map(str, known))}")
