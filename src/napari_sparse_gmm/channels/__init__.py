"""Two channels: how the points of a second one lie to the clusters of a first, against chance.

>>> comparison = compare_channels(mixture, points, n_shifts=99, random_state=0)
>>> inside = comparison.inside  # the share of the points in the outlines of the clusters
>>> inside.ratio > 3.0, inside.p_value
(True, 0.01)

Chance is the second channel moved as a whole, which keeps its own clusters; see `shifts`.
"""

from napari_sparse_gmm.channels.chance import AgainstChance
from napari_sparse_gmm.channels.comparison import (
    ChannelComparison,
    common_region,
    compare_channels,
    field_of,
    iter_comparison,
)

__all__ = [
    "AgainstChance",
    "ChannelComparison",
    "common_region",
    "compare_channels",
    "field_of",
    "iter_comparison",
]
