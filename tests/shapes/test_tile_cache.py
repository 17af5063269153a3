import numpy as np

from napari_sparse_gmm.shapes.tile_cache import TileCache

TILE = np.zeros((4, 4), dtype=np.float32)


def test_what_was_not_used_for_longest_goes() -> None:
    tiles = TileCache(most_bytes=2 * TILE.nbytes)
    tiles.put("a", TILE)
    tiles.put("b", TILE)
    assert tiles.get("a") is TILE
    tiles.put("c", TILE)
    assert tiles.get("b") is None
    assert tiles.get("a") is tiles.get("c") is TILE
    assert tiles.n_bytes == 2 * TILE.nbytes


def test_a_tile_counts_once() -> None:
    tiles = TileCache(most_bytes=2 * TILE.nbytes)
    tiles.put("a", TILE)
    tiles.put("a", TILE.copy())
    assert tiles.get("a") is TILE
    assert tiles.n_bytes == TILE.nbytes
