"""docs/tutorial.md does what it says: its blocks run in a window, and its numbers come out."""

import ast
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from napari.plugins._npe2 import get_readers
from qtpy.QtGui import QGuiApplication
from tutorial import TUTORIAL, WALKS, run, steps

from napari_sparse_gmm.samples import smlm_clusters

TEXT = TUTORIAL.read_text(encoding="utf-8")
README = TUTORIAL.parents[1] / "README.md"
PROSE = " ".join(TEXT.split())

# What a number may differ by, on another machine.
SHARE, COUNT = 0.03, 1
TOLERANCE = f"agree to {SHARE:.0%} and, where they count something, to one"

NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def assert_alike(printed: str, told: str) -> None:
    """The same words, and numbers within the tolerance that the tutorial names."""
    words = [" ".join(NUMBER.sub("#", text).split()) for text in (printed, told)]
    assert words[0] == words[1]
    for came, expected in zip(NUMBER.findall(printed), NUMBER.findall(told), strict=True):
        counted = "." not in expected
        allowed = max(SHARE * abs(float(expected)), COUNT if counted else 0.0)
        assert abs(float(came) - float(expected)) <= allowed, f"{printed!r} in place of {told!r}"


def test_blocks_run_and_print_what_is_told(
    make_napari_viewer_proxy: Callable[[], Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"viewer": make_napari_viewer_proxy()}
    printed, compared, repeated = "", 0, False
    for step in steps(TUTORIAL):
        if step.kind == "text":
            assert_alike(printed, step.text)
            compared += 1
        elif step.kind == "python":
            if copied := "SparseGaussianMixture(" in step.text:
                # The same lines; ruff has its own way with their quotes.
                clipboard = QGuiApplication.clipboard().text()
                assert ast.dump(ast.parse(clipboard)) == ast.dump(ast.parse(step.text))
            printed = run(step, namespace)
            if copied:
                fitted = namespace["components"].features[["mean_y [nm]", "mean_x [nm]"]]
                np.testing.assert_allclose(namespace["model"].means_, fitted)
                repeated = True
    assert repeated
    assert compared == len(re.findall("^```text$", TEXT, re.MULTILINE)) > 0


@pytest.mark.long
def test_walks_end_at_a_table(
    make_napari_viewer_proxy: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"viewer": make_napari_viewer_proxy()}
    for step in steps(WALKS):
        if step.kind == "python":
            run(step, namespace)
    for name, least in {"clusters": 480, "foci": 50, "niches": 10}.items():
        assert len(pd.read_csv(f"{name}.csv")) >= least


def test_napari_asks_for_the_reader_of_a_table_but_not_of_a_model() -> None:
    assert sorted(get_readers("channel1.csv").values()) == ["Sparse GMM", "napari builtins"]
    assert list(get_readers("channel1.gmm.json").values()) == ["Sparse GMM"]


def test_tells_the_tolerance_that_is_tested() -> None:
    assert TOLERANCE in PROSE


def test_sizes_in_the_sample_are_as_told() -> None:
    sample = smlm_clusters(seed=0)
    radii = []
    for label in range(1, 21):
        own = sample.features["truth"] == label
        variance = sample.points[own].var(axis=0, ddof=1).mean()
        radii.append(np.sqrt(variance - (sample.features["precision"][own] ** 2).mean()))
    low, median, high = np.quantile(radii, [0.25, 0.5, 0.75])
    assert f"radii from {low:.0f} to {high:.0f} nm, with a median of {median:.0f} nm" in PROSE


@pytest.mark.parametrize("page", [TUTORIAL, WALKS, README], ids=lambda page: page.name)
def test_files_that_are_linked_are_there_and_small(page: Path) -> None:
    linked = re.findall(r"\]\((?!http|#)([^)#]+)", page.read_text(encoding="utf-8"))
    assert linked
    for link in linked:
        size = (page.parent / link).stat().st_size
        assert size < {".png": 250_000, ".gif": 1_500_000}.get(Path(link).suffix, np.inf), link
