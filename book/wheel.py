"""Builds what is published, looks at what is in it, and uses it in an empty environment as a newcomer would.

python book/wheel.py        leaves the sdist and the wheel in _build/dist
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "_build/dist"
ALIGN = "import torch; from mmalign.transport import align; x = torch.rand(2, 5, 3); print(align(x, x, window=2).gap)"
RUN = "run --system copy --dataset planted --set data.samples=60 --epochs 3 --json".split()


def main() -> None:
    shutil.rmtree(DIST, ignore_errors=True)
    call(sys.executable, "-m", "build", "--quiet", "--outdir", DIST, ROOT)  # the wheel from the sdist, which is whole
    (wheel,), (sdist,) = DIST.glob("*.whl"), DIST.glob("*.tar.gz")
    look_inside(wheel, sdist)
    with tempfile.TemporaryDirectory() as folder:
        use(wheel, Path(folder))
    print(f"sound: {sdist}, {wheel}")


def look_inside(wheel: Path, sdist: Path) -> None:
    """The wheel holds the package as git has it and nothing else; the sdist what a wheel is made from."""
    listed = subprocess.run(["git", "ls-files", "-z", "mmalign"], cwd=ROOT, capture_output=True, check=True)
    ours = {*listed.stdout.decode().strip("\0").split("\0")}
    with ZipFile(wheel) as file:
        found = {name for name in file.namelist() if ".dist-info/" not in name}
        (about,) = (name for name in file.namelist() if name.endswith(".dist-info/METADATA"))
        assert "License-Expression: MIT" in file.read(about).decode()
    assert found == ours, f"missing: {sorted(ours - found)}; too many: {sorted(found - ours)}"
    with tarfile.open(sdist) as file:
        inside = {name.partition("/")[2] for name in file.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", *ours} <= inside


def use(wheel: Path, folder: Path) -> None:
    """First the solver alone, then what comes with an extra: a run, and the examples of the README."""
    pins, pinned = folder / "pins.txt", (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    pins.write_text("\n".join(line for line in pinned if not line.startswith("-")), encoding="utf-8")
    call(sys.executable, "-m", "venv", folder / "venv")
    scripts = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    python = which("python", scripts)

    def install(what: str) -> None:
        pip = (python, "-m", "pip", "install", "-qq", "--no-compile", "--disable-pip-version-check", "-c", pins)
        call(*pip, what, cwd=folder)

    install(str(wheel))
    mmalign = which("mmalign", scripts)
    call(python, "-c", ALIGN, cwd=folder)
    call(mmalign, "data", "list", cwd=folder)
    refused = subprocess.run([mmalign, *RUN], cwd=folder, capture_output=True, check=False)
    assert refused.returncode == 2 and b'pip install "mmalign[train]"' in refused.stderr, refused.stderr

    install(f"{wheel}[train]")
    record = subprocess.run([mmalign, *RUN], cwd=folder, capture_output=True, check=True)
    assert json.loads(record.stdout)["system"] == "copy"
    shutil.copy(ROOT / "tests/wear.py", folder)
    call(python, "wear.py", "wear.csv", cwd=folder)  # the table that the second example reads
    for example in re.findall(r"```python\n(import mmalign\n.*?)```", (ROOT / "README.md").read_text("utf-8"), re.S):
        call(python, "-c", brief(example), cwd=folder)


def which(name: str, scripts: Path) -> str:
    """A program of an environment, with the ending that it has on this platform."""
    found = shutil.which(name, path=str(scripts))
    assert found, f"{scripts} has no {name}"
    return found


def brief(example: str) -> str:
    """The second example with trainings of few epochs: sixteen of them at full length take minutes."""
    short = {"diagnose(pairs, ": "diagnose(pairs, mmalign.TrainConfig(epochs=2), "}
    short |= {'Classifier("mm-align-plus", ': 'Classifier("mm-align-plus", train={"epochs": 2}, '}
    if "diagnose" in example:
        assert all(full in example for full in short), "the README's example has changed"
        for full, few in short.items():
            example = example.replace(full, few)
    return example


def call(*words: str | Path, cwd: Path = ROOT) -> None:
    subprocess.run([*map(str, words)], cwd=cwd, env={**os.environ, "PYTHONPATH": ""}, check=True)


if __name__ == "__main__":
    main()
