"""Settings that check themselves: what a field may be is written once, in its annotation.

`Literal` names the choices, `Annotated[float, ABOVE_0, "what it is"]` adds a rule and a few words. From these come
the check, the help of the command line, and the reference page of all settings.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

from .errors import ABOVE_0, AT_LEAST_0, BELOW_1, FLAG, SHARE, InputError, Rule, check, choice, whole

MOST = 10_000  # of steps, layers, features, epochs: many times what any of our systems can use
Count = Annotated[int, whole(1, MOST)]
CountOr0 = Annotated[int, whole(0, MOST)]
Positive = Annotated[float, ABOVE_0]
Weight = Annotated[float, AT_LEAST_0]
Chance = Annotated[float, BELOW_1]
Share = Annotated[float, SHARE]
Needs = Mapping[str, Any] | tuple[Mapping[str, Any], ...]


class Setting(NamedTuple):
    """One field of some settings."""

    name: str
    default: Any
    rule: Rule | None  # None: anything
    about: str
    needs: Needs  # what others must be for it to be read


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """The base of every configuration. A subclass that relates fields to one another adds to `__post_init__`.

    `only_with` says which fields are read only where others have certain values: `{"barrier": {"solver": "official"}}`,
    or a tuple of such conditions, any of which will do; True stands for anything but 0, None and False. Elsewhere a
    field must keep its default, so that two runs that compute the same have the same settings.
    """

    only_with: ClassVar[Mapping[str, Needs]] = {}

    def __post_init__(self) -> None:
        kind: Any = type(self)
        for name, default, rule, _, needs in described(kind):
            value = getattr(self, name)
            if rule:
                check(name, value, rule)
            if value != default and not _met(needs, vars(self)):
                raise InputError(f"{name}={value} would have no effect: it goes with {in_words(needs)}")


Kind = TypeVar("Kind", bound=Settings)


@cache
def described(kind: Any) -> tuple[Setting, ...]:
    """What the annotations of a class say of its fields, in their order."""
    hints = get_type_hints(kind, include_extras=True)
    needs = {name: need for one in reversed(kind.__mro__) for name, need in vars(one).get("only_with", {}).items()}
    return tuple(
        Setting(one.name, one.default, _rule(hints[one.name]), _about(hints[one.name]), needs.get(one.name, {}))
        for one in dataclasses.fields(kind)
    )


def settings(kind: type[Kind], defaults: Mapping[str, Any], **changes: Any) -> Kind:
    """A configuration of `kind` with `defaults`, then `changes`; an unknown field is named.

    A default that the changes leave without effect is left out: of a preset remains what still means something.

    Raises:
        ValueError: there is no such field, or a value is not allowed or would have no effect.
    """
    asked: Any = kind
    known = {one.name: one for one in described(asked)}
    for name, value in changes.items():
        if name not in known:
            raise InputError(f"{kind.__name__} has no field {name!r}; known: {', '.join(sorted(known))}")
        if isinstance(known[name].default, float) and type(value) is int and abs(value) < 2**1000:
            changes[name] = float(value)  # so that one setting has one record
    values = {one.name: one.default for one in known.values()} | {**defaults, **changes}
    for _ in defaults:  # leaving one out may leave another without effect
        idle = [name for name in defaults if name not in changes and not _met(known[name].needs, values)]
        values |= {name: known[name].default for name in idle}
    return kind(**{name: value for name, value in values.items() if value is not dataclasses.MISSING})


def each(*names: str, **needs: Any) -> dict[str, Needs]:
    """One condition for some fields: lines of `Settings.only_with`."""
    return dict.fromkeys(names, needs)


def _met(needs: Needs, values: Mapping[str, Any]) -> bool:
    """Whether one of some conditions holds."""

    def allowed(value: Any, wanted: Any) -> bool:
        return bool(value) if wanted is True else value in wanted if isinstance(wanted, tuple) else value == wanted

    ways = needs if isinstance(needs, tuple) else (needs,)
    return any(all(allowed(values[name], wanted) for name, wanted in way.items()) for way in ways)


def in_words(needs: Needs) -> str:
    """A condition as people read it.

    >>> in_words(({"solver": ("sinkhorn", "official"), "mu": True}, {"window": 3}))
    'solver=sinkhorn or official and mu on, or window=3'
    """

    def one(name: str, wanted: Any) -> str:
        shown = " or ".join(map(str, wanted)) if isinstance(wanted, tuple) else str(wanted)
        return f"{name} on" if wanted is True else f"{name}={shown}"

    ways = needs if isinstance(needs, tuple) else (needs,)
    return ", or ".join(" and ".join(one(*pair) for pair in way.items()) for way in ways)


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
