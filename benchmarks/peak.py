"""How many bytes one fit adds to the largest size of its process; for `memory.py`.

python benchmarks/peak.py points.npy '{"n_components": 30, "engine": "torch"}'
"""

import json
import re
import sys
from pathlib import Path

import numpy as np
from fits import quiet_fit, warm_up

from napari_sparse_gmm import SparseGaussianMixture


def largest_size() -> int:
    """Bytes that the process has held at most so far."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not `getrusage`: on Linux it starts from the size of the process that started this one.
        return 1024 * int(re.search(r"VmHWM:\s*(\d+)", status.read_text())[1])
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


def main() -> None:
    settings = json.loads(sys.argv[2])
    # Libraries and compiled kernels are not the fit's memory.
    warm_up(settings["engine"], settings["device"], np.load(sys.argv[1], mmap_mode="r").shape[1])
    points = np.load(sys.argv[1])
    before = largest_size()
    quiet_fit(SparseGaussianMixture(**settings), points)
    print(largest_size() - before)


if __name__ == "__main__":
    main()
