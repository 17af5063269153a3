"""What each named prior says of itself, for forms, help texts and the loop that fits.

>>> from napari_sparse_gmm.objectives import PRIORS
>>> PRIORS["sqrt"].label, "sparsity" in PRIORS["sqrt"].uses
('Sparse (set by Sparsity)', True)
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.objectives.objective import Objective
from napari_sparse_gmm.regions import Region

if TYPE_CHECKING:
    from napari_sparse_gmm.objectives.kinds import Kinds

# From so many components a fit starts where nobody says from how many: as the KeOps tutorial does.
N_START = 30


@dataclass(frozen=True, eq=False)
class Context:
    """What an objective is made from.

    Parameters
    ----------
    sparsity : float
        s of the prior "sqrt".
    n_start : int
        The number of components at the start.
    region : Region
        Where points can lie.
    noise : (D,) array, optional
        Typical variances of the noise of points, where they have some.
    """

    sparsity: float
    n_start: int
    region: Region
    noise: FloatArray | None = None


@dataclass(frozen=True)
class Start:
    """Where a fit starts: an `init`, and which births come at once there.

    `births` are of "boxes" and "balls"; see `engines.overdensity`.
    """

    init: str
    births: tuple[str, ...] = ()


@dataclass(frozen=True)
class Declaration:
    """A kind of prior, as one can choose it.

    Parameters
    ----------
    name : str
        "" for one that only exists as an instance.
    label, help : str
        In the words of the person who chooses.
    make : callable
        The objective, from a `Context`.
    uses : set of str
        Those parameters that mean something under some priors only, and do under this one.
    solvers : tuple of str
    init : str
        What `init="auto"` stands for.
    components : int or None
        What `n_components=None` stands for; None: as many as the points need.
    starts : tuple of Start
        Its own, where it does not start as `init` says.
    births : tuple of str
        Where moves look for new components, near an optimum.
    several : callable, optional
        Kinds of clusters to look for besides, from an objective that has learnt from so many
        components; None where they are too few.
    needs_floor : bool
        Whether a component collapses onto a point without a smallest size.
    prunes : bool
        Whether it takes out components that the points do not need.
    evidence : bool
        Whether the cost is minus a bound on the log evidence, but for a bias that is known.
    counts : bool
        Whether it matters how many points there are, not only their shares.
    """

    name: str
    label: str
    help: str
    make: Callable[[Context], Objective]
    uses: frozenset[str] = frozenset({"init", "covariance_prior", "typical_size"})
    solvers: tuple[str, ...] = ("mm", "adam")
    init: str = "kmeans++"
    components: int | None = N_START
    starts: tuple[Start, ...] = ()
    births: tuple[str, ...] = ("boxes",)
    several: "Callable[[Objective, int], Kinds | None] | None" = None
    needs_floor: bool = True
    prunes: bool = True
    evidence: bool = False
    counts: bool = False
