"""Stored rows, once: settings that their systems never read leave the records, and with them their names change.

    python book/migrate.py book/results/*.jsonl

What was measured stays as it is. A row keeps every setting that its system still has; what is dropped stood at its
default, or had no effect (`contrastive` of mm-align-official, whose contrastive loss has weight 0).
"""

import json
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from mmalign.config import TrainConfig
from mmalign.experiments import runs, tables
from mmalign.registry import SYSTEMS
from mmalign.settings import described, settings


def migrated(record: dict, changes: Counter) -> dict:
    """The same run under the settings of today."""
    kind, before = SYSTEMS[record["system"]].kind.config_type, record["config"]["model"]
    known = {one.name for one in described(kind)}
    after = asdict(settings(kind, {name: value for name, value in before.items() if name in known}))
    assert record["config"]["train"] == asdict(settings(TrainConfig, {}, **record["config"]["train"]))
    for name in before:
        if name not in after or after[name] != before[name]:
            changes[record["system"], name, str(before[name]), str(after.get(name, "-"))] += 1
    assert {*after} <= {*before}
    return {**record, "config": {**record["config"], "model": {name: after[name] for name in before if name in after}}}


def main(paths: list[str]) -> None:
    for path in map(Path, paths):
        changes: Counter = Counter()
        old = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        new = sorted((migrated(record, changes) for record in old), key=runs.name_of)
        renamed = {runs.name_of(record) for record in new} - {runs.name_of(record) for record in old}
        assert len({runs.name_of(record) for record in new}) == len(old)
        path.write_text(tables.lines(new), encoding="utf-8")
        print(f"{path}: {len(renamed)} of {len(old)} rows renamed")
        for (system, name, before, after), rows in sorted(changes.items()):
            print(f"  {system}: {name} {before} -> {after} ({rows} rows)")


if __name__ == "__main__":
    main(sys.argv[1:])
