"""Points in partitions of any shape, each with an engine of its own in this process."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_sparse_gmm.engines.in_memory import InMemory
from napari_sparse_gmm.engines.partitioned import Partitioned
from napari_sparse_gmm.engines.workers import ThisProcess
from napari_sparse_gmm.observations import Observations


@dataclass(frozen=True)
class Held:
    """A partition in memory."""

    observations: Observations
    engine: type[InMemory]
    keywords: dict[str, Any]

    @property
    def n_points(self):
        return len(self.observations)

    def open(self, blocks=None):
        return self.engine(self.observations, **self.keywords)

    def without_noise(self):
        bare = Observations(self.observations.points, self.observations.weights)
        return Held(bare, self.engine, self.keywords)


def partitioned(observations, owner, engine, **keywords):
    """The observations whose `owner` (N,) is the same are a partition; in the order of these."""
    parts = [observations.subset(owner == part) for part in np.unique(owner)]
    return Partitioned(ThisProcess([Held(part, engine, keywords) for part in parts]))


def in_their_order(observations, owner):
    """The observations in the order of their partitions."""
    return observations.subset(np.argsort(owner, kind="stable"))
