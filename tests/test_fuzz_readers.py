"""Whatever the bytes of a file are, its reader gives what is in it or one sentence."""

import subprocess
import sys
from pathlib import Path

import pytest
from reader_corpus import KINDS, check

SECONDS = 60


@pytest.mark.parametrize("name", KINDS)
def test_the_examples_are_read(tmp_path: Path, name: str) -> None:
    for example in KINDS[name].examples():
        assert not any(check(KINDS[name], example, tmp_path))


@pytest.mark.long
@pytest.mark.parametrize("name", KINDS)
def test_any_bytes(tmp_path: Path, name: str) -> None:
    pytest.importorskip("atheris")
    script = Path(__file__).with_name("fuzz_reader.py")
    command = [sys.executable, script, name, tmp_path, f"-max_total_time={SECONDS}"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-5000:]
