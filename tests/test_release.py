"""What is published says the same of itself everywhere."""

import re
import subprocess
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_one_version_stands_in_the_package_its_citation_and_the_changelog():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    (latest, *_) = re.findall(r"^## ([\d.]+)", (ROOT / "book/changelog.md").read_text(encoding="utf-8"), re.M)
    assert PROJECT["version"] == version("mmalign") == str(citation["version"]) == latest
    assert citation["license"] == PROJECT["license"]


def test_the_pythons_that_are_named_are_those_of_the_matrix():
    matrix = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    named = [one.rpartition(" ")[2] for one in PROJECT["classifiers"] if "Python ::" in one]
    assert named == matrix["jobs"]["elsewhere"]["strategy"]["matrix"]["python"]
    assert PROJECT["requires-python"] == f">={named[0]}"


def test_the_paper_is_cited_as_in_the_book():
    paper = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["preferred-citation"]
    references = (ROOT / "book/references.bib").read_text(encoding="utf-8")
    assert f"{{{paper['title'].replace('MM-Align', '{MM-Align}')}}}" in references
    assert f"{{{paper['doi']}}}" in references and f"{{{paper['year']}}}" in references


def test_a_file_has_the_same_bytes_in_every_checkout():
    asked = subprocess.run(
        ["git", "check-attr", "eol", "--", "README.md", "mmalign/masks.py", ".ci/run"],
        cwd=ROOT, capture_output=True, encoding="utf-8", timeout=30, check=False,
    )  # fmt: skip
    if asked.returncode:
        pytest.skip("NOT A GIT CHECKOUT: nothing says how its files are written")
    assert [line.rpartition(" ")[2] for line in asked.stdout.splitlines()] == ["lf"] * 3
