"""Settings that check themselves: what a field may be is written once, in its annotation.

`Literal` names the choices, `Annotated[float, ABOVE_0, "what it is"]` adds a rule and a few words. From these come
the check, the help of the command line, and the reference page of all settings.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

from .errors import ABOVE_0, AT_LEAST_0, BELOW_1, FLAG, SHARE, InputError, Rule, check, choice, whole

Count = Annotated[int, whole(1)]
CountOr0 = Annotated[int, whole(0)]
Positive = Annotated[float, ABOVE_0]
Weight = Annotated[float, AT_LEAST_0]
Chance = Annotated[float, BELOW_1]
Share = Annotated[float, SHARE]


class Setting(NamedTuple):
    """One field of some settings."""

    name: str
    default: Any
    rule: Rule | None  # None: anything
    about: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """The base of every configuration. A subclass that relates fields to one another adds to `__post_init__`."""

    def __post_init__(self) -> None:
        for name, _, rule, _ in described(type(self)):
            if rule:
                check(name, getattr(self, name), rule)


Kind = TypeVar("Kind", bound=Settings)


@cache
def described(kind: type[Settings]) -> tuple[Setting, ...]:
    """What the annotations of a class say of its fields, in their order."""
    hints = get_type_hints(kind, include_extras=True)
    fields = dataclasses.fields(kind)
    return tuple(Setting(one.name, one.default, _rule(hints[one.name]), _about(hints[one.name])) for one in fields)


def settings(kind: type[Kind], defaults: Mapping[str, Any], **changes: Any) -> Kind:
    """A configuration of `kind` with `defaults`, then `changes`; an unknown field is named.

    Raises:
        ValueError: there is no such field, or a value is not allowed.
    """
    known = {one.name: one for one in described(kind)}
    for name, value in changes.items():
        if name not in known:
            raise InputError(f"{kind.__name__} has no field {name!r}; known: {', '.join(sorted(known))}")
        if isinstance(known[name].default, float) and type(value) is int and abs(value) < 2**1000:
            changes[name] = float(value)  # so that one setting has one record
    return kind(**{**defaults, **changes})


def _rule(hint: Any) -> Rule | None:
    """The rule in an annotation."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return next((one for one in inside[1:] if isinstance(one, Rule)), None) or _rule(inside[0])
    if origin is Literal:
        return choice(inside)
    if origin in (Union, UnionType) and NoneType in inside:
        rule = _rule(next(one for one in inside if one is not NoneType))
        return rule and Rule(f"{rule.expected}, or none", lambda value: value is None or rule.holds(value))
    return FLAG if hint is bool else None


def _about(hint: Any) -> str:
    """The words in an annotation."""
    return next((one for one in get_args(hint)[1:] if isinstance(one, str)), "")
