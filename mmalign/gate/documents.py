"""JSON and YAML from outside, weighed before anything is built: a few aliases can stand for billions of values."""

import json
import re
from collections import Counter
from pathlib import Path

import yaml

from ..errors import InputError, line_of
from ..files import read_text

DEEPEST = 50  # boxes in boxes
MOST = 100_000  # values of a YAML document, aliases written out
DIGITS = 300  # of a number


def from_json(text: str, finite: bool = True) -> object:
    """The value of a JSON text.

    Raises:
        ValueError: it is none, or boxes lie in boxes without end, or, if all must be `finite`, a number is not.
    """

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is not a number")

    try:
        return json.loads(text, parse_constant=refuse if finite else None)
    except RecursionError:
        raise ValueError("it holds lists in lists without end") from None


class _Loader(yaml.SafeLoader):
    """YAML as people mean it: 1e-3 is a number, and no key stands twice in a mapping."""

    def compose_node(self, parent: yaml.Node, index: object) -> yaml.Node:
        """The next node, unless it lies too deep."""
        self.depth = getattr(self, "depth", 0) + 1
        if self.depth > DEEPEST:
            raise InputError(f"at most {DEEPEST} boxes may lie in one another")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def get_single_node(self) -> yaml.Node | None:
        """The whole document, weighed."""
        node = super().get_single_node()
        if node is not None:
            _weigh(node, {}, set())
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        for key, times in Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)).items():
            if times > 1:
                raise InputError(f"{key!r} stands {times} times in one mapping")
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), [*"-+0123456789"]
)


def _weigh(node: yaml.Node, known: dict[int, int], above: set[int]) -> int:
    """How many values a node stands for once its aliases are written out."""
    if isinstance(node, yaml.ScalarNode):
        if len(node.value) > DIGITS and node.tag.endswith((":int", ":float")):
            raise InputError(f"a number of {len(node.value)} digits was found, at most {DIGITS} are read")
        return 1
    if id(node) in above:
        raise InputError("a value that contains itself was found")
    if id(node) not in known:
        inside = node.value if isinstance(node, yaml.SequenceNode) else [one for pair in node.value for one in pair]
        known[id(node)] = 1 + sum(_weigh(one, known, above | {id(node)}) for one in inside)
    if known[id(node)] > MOST:
        raise InputError(f"it stands for more than {MOST} values, aliases written out")
    return known[id(node)]


def read_yaml(path: str | Path) -> object:
    """The value of a YAML file: plain values, lists and mappings, whose size is known before they are built.

    Raises:
        InputError: the file cannot be read, is not YAML, or stands for too much.
    """
    text = read_text(path, most=2**20)
    try:
        return yaml.load(text, _Loader)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not YAML: {error}") from None
    except Exception as error:  # a tag that does not fit its value can raise anything
        raise InputError(f"{path} is not YAML: {type(error).__name__}: {line_of(error)}") from None
