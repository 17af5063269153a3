"""What a fit found, as a value: mixtures of all points or of each group, and where they come from.

>>> model = DensityModel((part_of(estimator, estimator.open(points)),), ("y", "x"), "nm")
>>> log_density = model.mixture.log_density(points)  # per nm², (N,)
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.regions import Region

if TYPE_CHECKING:
    from napari_sparse_gmm.engines import Engine
    from napari_sparse_gmm.estimator import SparseGaussianMixture
    from napari_sparse_gmm.evidence import Evidence
    from napari_sparse_gmm.members import Members
    from napari_sparse_gmm.uncertainty import StandardErrors


@dataclass(frozen=True, eq=False)
class InRegion:
    """How many points lie in a region that has a name: a cell.

    Parameters
    ----------
    name : str
    region : Region
    n_points : float
        Or the sum of their weights.
    n_background : float
        Of those, how many are expected to be of the background, and so in no component.
    """

    name: str
    region: Region
    n_points: float
    n_background: float


@dataclass(frozen=True, eq=False)
class Part:
    """What a fit found in one group of points, or in all of them.

    `total_weight` is that of the points: their number where all weigh 1, and of those that are
    missing of components cut by the edge of the field; `seen` (K,) is the share of each in it.
    `repeats` points are one observation. `regions` are those that were asked for. Errors,
    evidence and members are not known while the fit goes on; nor are they, how it ended, and the
    mean log density of its points where a file has none.
    """

    mixture: GaussianMixture
    errors: "StandardErrors | None"
    n_points: int
    total_weight: float
    cost: float = math.nan
    n_iter: int = 0
    converged: bool = False
    mean_log_density: float | None = None
    repeats: float = 1.0
    evidence: "Evidence | None" = None
    seen: FloatArray | None = None
    regions: tuple[InRegion, ...] = ()
    members: "Members | None" = None

    @property
    def n_unseen(self) -> float:
        """How many points are missing of components that the edge of the field cuts."""
        if self.seen is None:
            return 0.0
        return self.total_weight * float(self.mixture.weights @ (1.0 - self.seen))

    @property
    def n_seen(self) -> float:
        """How many points there are, or the sum of their weights."""
        return round(self.total_weight - self.n_unseen, 6)

    @property
    def of_components(self) -> FloatArray | None:
        """log10 of the Bayes factor for each component, (K,), where it is known."""
        return None if self.evidence is None else self.evidence.components


def part_of(
    model: "SparseGaussianMixture",
    engine: "Engine",
    n_points: int | None = None,
    regions: Mapping[str, Region] | None = None,
    members: "Members | None" = None,
) -> Part:
    """What an estimator has found in the points that it was fitted to, as an engine holds them.

    They were `n_points`, where some of them were equal: the engine holds these as one. They are
    counted in each of the `regions`, by their names. What only they say of the components are
    `members`; see `napari_sparse_gmm.members`.
    """
    summary = engine.summary
    counted: tuple[InRegion, ...] = ()
    if regions:
        weights = engine.repeats * engine.region_weights(model.mixture_, tuple(regions.values()))
        # A sum of ones is a whole number, but for rounding.
        weights[:, 0] = np.round(weights[:, 0], 6)
        counted = tuple(
            InRegion(name, region, *row)
            for (name, region), row in zip(regions.items(), weights.tolist(), strict=True)
        )
    return Part(
        mixture=model.mixture_,
        errors=model.standard_errors(engine),
        n_points=n_points or summary.n_points,
        total_weight=summary.total_weight * engine.repeats / model.share_seen_,
        cost=model.cost_,
        n_iter=model.n_iter_,
        converged=model.converged_,
        mean_log_density=model.score(engine),
        repeats=engine.repeats,
        evidence=model.evidence(engine),
        seen=model.seen_ if (model.seen_ < 1.0).any() else None,
        regions=counted,
        members=members,
    )


@dataclass(frozen=True, eq=False)
class Groups:
    """What distinguishes groups of points that have a mixture each.

    Parameters
    ----------
    name : str
        Of the axis or the feature.
    labels : (G,) array
        Its values, numbers or words, in ascending order.
    """

    name: str
    labels: NDArray[Any]


@dataclass(frozen=True, eq=False)
class DensityModel:
    """Mixtures, the axes and units they are written in, and where they come from.

    Parameters
    ----------
    parts : tuple of Part
        One; with `groups` one for each of them, None where it could not be fitted.
    axis_labels : tuple of D str
    unit : str or None
        Unit of the means, on every axis.
    box : (2, D) array, optional
        Lower and upper corner of the points that it was fitted to.
    groups : Groups, optional
    view : mapping, optional
        Where and how a viewer shows it: numbers, arrays and strings that only that can read.
    provenance : mapping
        How it was made; see `provenance`. Empty while the fit goes on; of a file, what that says.

    Raises
    ------
    InputError
        Where there is no mixture, or their numbers or dimensions disagree.
    """

    parts: tuple[Part | None, ...]
    axis_labels: tuple[str, ...]
    unit: str | None
    box: FloatArray | None = None
    groups: Groups | None = None
    view: Mapping[str, Any] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n_groups = 1 if self.groups is None else len(self.groups.labels)
        if len(self.parts) != n_groups or not self.fitted:
            raise InputError(f"{len(self.fitted)} mixtures for {n_groups} groups.")
        n_axes = len(self.axis_labels)
        dimensions = {part.mixture.n_dimensions for part in self.fitted}
        if dimensions != {n_axes}:
            raise InputError(f"{n_axes} axis labels for {dimensions} dimensions.")
        if self.box is not None and np.shape(self.box) != (2, n_axes):
            raise InputError(f"A box of shape {np.shape(self.box)} for {n_axes} dimensions.")

    @property
    def fitted(self) -> tuple[Part, ...]:
        """The parts that there are."""
        return tuple(part for part in self.parts if part is not None)

    @property
    def mixtures(self) -> tuple[GaussianMixture | None, ...]:
        """Of each part, None where there is none."""
        return tuple(None if part is None else part.mixture for part in self.parts)

    @property
    def mixture(self) -> GaussianMixture:
        """The only mixture. An InputError where each group has its own."""
        if self.groups is not None:
            raise InputError(
                f"The model has a mixture for each {self.groups.name} of its points: take those "
                "of its parts."
            )
        return self.fitted[0].mixture

    @property
    def n_points(self) -> float:
        """Number of points that it was fitted to, or the sum of their weights."""
        return float(sum(part.total_weight for part in self.fitted))

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Keywords of `SparseGaussianMixture`, as the fit was asked for."""
        return self.provenance.get("parameters", {})

    @property
    def engine_reason(self) -> str:
        """What computed the fit, and why that, in a sentence."""
        return self.provenance.get("engine_reason", "")

    @property
    def deconvolved(self) -> bool:
        """Whether the precision of the points was considered."""
        return self.provenance.get("deconvolved", False)

    @property
    def problem(self) -> str:
        """Why a group could not be fitted, in a sentence; "" where all could."""
        return self.provenance.get("problem", "")


def provenance(
    *, source: str, parameters: Mapping[str, Any], engine: str, engine_reason: str, **more: Any
) -> dict[str, Any]:
    """How a model was made: from what, by which parameters, engine and version, and when.

    `more` comes behind.
    """
    return {
        "source": source,
        "parameters": dict(parameters),
        "engine": engine,
        "engine_reason": engine_reason,
        "version": version("napari-sparse-gmm"),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        **more,
    }
