"""A sweep by workers that a batch system starts: dask-jobqueue, as the page on sweeps has it, and an `sbatch` of ours.

Emulated is SLURM: `sbatch FILE` starts the file and says the number of its job, `scancel` ends one.
"""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from mmalign.experiments import sweep

pytest.importorskip("dask_jobqueue")
pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[1] / "book" / "sweeps.md"
SBATCH = """#!/bin/sh
# A copy is what runs: dask-jobqueue removes its file as soon as this ends, as it may with the real one.
cp "$1" "$JOBS/job-$$.sh"
sh "$JOBS/job-$$.sh" >"$JOBS/$$.log" 2>&1 &
echo "Submitted batch job $!"
"""
SCANCEL = """#!/bin/sh
for job in "$@"; do kill "$job" 2>/dev/null; done
exit 0
"""
GRID = """
system: [single, copy]
dataset: planted
seed: [0, 1]
data.samples: 60
model.width: 8
train.epochs: 3
"""


@pytest.fixture
def cluster(tmp_path):
    """The script of the page, with jobs of one worker; (address, folder of the jobs)."""
    programs, jobs = tmp_path / "bin", tmp_path / "jobs"
    for folder in (programs, jobs):
        folder.mkdir()
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        (programs / name).write_text(text, encoding="utf-8")
        (programs / name).chmod(0o755)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (script,) = re.findall(r"```python\n(# cluster\.py\n.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    small = {"cores=8": "cores=1", "processes=8": "processes=1", "32GB": "2GB", "jobs=20": "jobs=2"}
    for before, after in {**small, '"port": 8786': f'"port": {port}, "dashboard": False'}.items():
        assert before in script
        script = script.replace(before, after)
    (tmp_path / "cluster.py").write_text(script, encoding="utf-8")
    path = os.pathsep.join((str(programs), os.environ["PATH"]))
    variables = {**os.environ, "PATH": path, "JOBS": str(jobs), "PYTHONPATH": os.pathsep.join(sys.path)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "cluster.py"], cwd=tmp_path, env=variables, **pipes)
    address = process.stdout.readline().strip()
    assert address.startswith("tcp://"), process.stderr.read()
    yield address, jobs
    _, told = process.communicate("\n", timeout=60)
    assert process.returncode == 0, told


def test_a_sweep_is_done_by_jobs_that_sbatch_started(cluster, tmp_path):
    address, jobs = cluster
    (tmp_path / "grid.yaml").write_text(GRID, encoding="utf-8")
    assert sweep.sweep(tmp_path / "grid.yaml", tmp_path / "out", scheduler=address) == (4, 0, 4, 0)
    (job, *_) = jobs.glob("job-*.sh")
    text = job.read_text(encoding="utf-8")
    assert "#SBATCH -p short" in text and "--lifetime 225m" in text and "export OMP_NUM_THREADS=1" in text
