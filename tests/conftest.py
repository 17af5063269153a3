"""Which tests can run on this machine."""

import os
import sys
from functools import cache
from importlib.util import find_spec

import pytest
import torch

from napari_sparse_gmm.engines.engine import EngineUnavailable
from napari_sparse_gmm.engines.keops_build import check_cuda

# On Linux CI has to have it; on Windows nobody has.
NEEDS_KEOPS = sys.platform == "linux" and os.environ.get("CI") == "true"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        # The identifiers of its parameters.
        if "keops" in item.name.partition("[")[2].removesuffix("]").split("-"):
            item.add_marker("keops")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("cuda") and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    if item.get_closest_marker("keops") and not find_spec("pykeops") and not NEEDS_KEOPS:
        pytest.skip("pykeops is not installed")
    if item.get_closest_marker("cuda") and item.get_closest_marker("keops") and _no_keops():
        pytest.fail(_no_keops())


@cache
def _no_keops() -> str:
    """Why KeOps cannot compute on the graphics card: told here, it does not crash a test."""
    try:
        check_cuda()
    except EngineUnavailable as error:
        return str(error)
    return ""
