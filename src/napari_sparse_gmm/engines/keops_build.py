"""How pykeops is loaded and its kernels are compiled here.

Three things that pykeops 2.3 leaves to its user:

- A processor kernel holds Python's global lock while it runs, so a window would freeze
  for as long. The C++ wrapper that pykeops writes for each formula is changed to release it.
- A compiler that fails is noticed only when the kernel is imported. `first_use` turns that,
  and everything else that can go wrong, into `EngineUnavailable`.
- Two processes that compile the same formula at once can break each other's files. The
  first use of each formula holds a lock.
"""

import inspect
import os
import threading
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from filelock import FileLock

from napari_sparse_gmm.engines.engine import EngineUnavailable
from napari_sparse_gmm.engines.threads import look_for_runtimes

# Marks our kernels. The flags are part of a kernel's file name, so kernels that other
# programs compiled with the unchanged wrapper are never mistaken for ours.
_MARK = " -DSPARSE_GMM_RELEASES_LOCK"
# A quarter less time: coordinates are relative to the centre of a block, so sums may be taken in any
# order; densities may be infinite. The build folder belongs to one machine.
_FAST = " -march=native -ffast-math -fno-finite-math-only"
