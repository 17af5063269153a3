"""The page of benchmarks: what a module found, also where it failed half-way."""

import json
import sys
from pathlib import Path

import pytest
import run
from machine import describe
from page import Section, page
from report import Picture, Row

MODULE = '''"""A title.

What it measures.

    python benchmarks/module.py
"""

from report import Picture, Row, main


def measure(options):
    yield Row("speed", "2 | 3 s", "at most 1 s", met=False)
    yield Row("colour", "blue")
    yield Picture("plot.svg", "A plot")
    {ending}


main(measure)
'''


@pytest.fixture
def sections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def of(ending: str) -> list[Section]:
        (tmp_path / "module.py").write_text(MODULE.replace("{ending}", ending))
        monkeypatch.setattr(run, "HERE", tmp_path)
        monkeypatch.setattr(run, "MODULES", ("module", "not run yet"))
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2] / "benchmarks"))
        run.run("module", ["--images", str(tmp_path)], tmp_path)
        return run.stored_sections(tmp_path)

    return of


def test_module_that_ends(sections) -> None:
    (section,) = sections("")
    assert section.title == "A title"
    assert section.text == "What it measures."
    assert section.command == "python benchmarks/module.py"
    assert section.entries == (
        Row("speed", "2 | 3 s", "at most 1 s", met=False),
        Row("colour", "blue"),
        Picture("plot.svg", "A plot"),
    )
    assert section.failure == ""


def test_module_that_fails_keeps_what_it_found(sections) -> None:
    (section,) = sections("raise MemoryError('too many points')")
    assert len(section.entries) == 3
    assert section.failure == "Status 1: MemoryError: too many points"


def test_page(sections) -> None:
    text = page(sections("raise ValueError('no')"), "Benchmarks", describe())
    assert "| A title | 0 of 1 | Status 1: ValueError: no | `python benchmarks/module.py` |" in text
    assert "| speed | at most 1 s | 2 \\| 3 s | **no** |" in text
    assert "| colour | blue |" in text
    assert "![A plot](images/plot.svg)" in text
    assert "**Failed**" in text
    assert "| processor |" in text


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("pass", ""),
        ("import sys; sys.exit(3)", "Status 3: It said nothing."),
        ("import time; time.sleep(60)", "It had not come to an end after 1 s."),
    ],
    ids=["end", "status", "endless"],
)
def test_why_a_command_failed(code: str, sentence: str) -> None:
    assert run.failure_of([sys.executable, "-c", code], longest=1.0) == sentence


def test_every_module_has_a_section(tmp_path: Path) -> None:
    for name in run.MODULES:
        (tmp_path / f"{name}.json").write_text(
            json.dumps({"when": "today", "seconds": 1.0, "failure": ""})
        )
    for name, section in zip(run.MODULES, run.stored_sections(tmp_path), strict=True):
        assert f"python benchmarks/{name}.py" in section.command
        assert section.title
        assert section.text
