"""Stored rows, once: a setting that a system has gained stands in them at what they were computed with.

    python book/migrate.py book/results/*.jsonl

What was measured stays as it is; the rows that gain a setting get another name, and what is kept beside them with them.
"""

import sys
from dataclasses import asdict
from pathlib import Path

from mmalign.experiments import runs, tables, traces
from mmalign.method.plus import MMAlignPlusConfig
from mmalign.settings import settings


def migrated(record: dict) -> dict:
    """The same run under the settings of today: until then the last weights stayed, where a teacher sees victims."""
    model = record["config"]["model"]
    if record["system"] != "mm-align-plus" or "chosen" in model:
        return record
    usual = settings(MMAlignPlusConfig, model)
    after = asdict(settings(MMAlignPlusConfig, model, **({"chosen": "last"} if usual.sees_victim else {})))
    assert model.items() <= after.items()
    return {**record, "config": {**record["config"], "model": after}}


def main(paths: list[str]) -> None:
    for path in map(Path, paths):
        old = tables.records(path)
        new = {runs.name_of(record): migrated(record) for record in old}
        names = {before: runs.name_of(record) for before, record in new.items()}
        assert len({*names.values()}) == len(old)
        kept = traces.read(path, names)
        path.write_text(tables.lines(list(new.values())), encoding="utf-8")
        if kept:
            renamed = {names[before]: kept[before] for before in names if before in kept}
            path.with_suffix(traces.ENDING).write_bytes(traces.pack(renamed))
        print(f"{path}: {sum(before != after for before, after in names.items())} of {len(old)} rows renamed")


if __name__ == "__main__":
    main(sys.argv[1:])
