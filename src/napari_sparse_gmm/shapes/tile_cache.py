"""Tiles of images, the ones last used, in a bounded memory.

>>> tiles = TileCache(most_bytes=2**28)
>>> tiles.put(("finest", 3, 4), np.zeros((256, 256), dtype=np.float32))
"""

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock

import numpy as np
from numpy.typing import NDArray


class TileCache:
    """Tiles by key. Threads may share it: napari can slice in several."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.n_bytes = 0
        self._tiles: OrderedDict[Hashable, NDArray[np.float32]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable) -> NDArray[np.float32] | None:
        """The tile, from now on the one last used; None where it is not there (any more)."""
        with self._lock:
            if key in self._tiles:
                self._tiles.move_to_end(key)
            return self._tiles.get(key)

    def put(self, key: Hashable, tile: NDArray[np.float32]) -> None:
        """Keep a tile, in place of those that were not used for longest."""
        with self._lock:
            if key in self._tiles:  # another thread was faster
                return
            self._tiles[key] = tile
            self.n_bytes += tile.nbytes
            while self.n_bytes > self.most_bytes:
                _, dropped = self._tiles.popitem(last=False)
                self.n_bytes -= dropped.nbytes
