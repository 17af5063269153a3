"""The solutions along a rising sparsity, and which one to take.

>>> path = clone(estimator).set_params(prior="sqrt").sparsity_path(points, [20.0, 50.0, 100.0])
>>> print(path.why)
With s = ..., ... components, the Bayesian information criterion is the lowest: ...
"""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from napari_sparse_gmm.arrays import float_array
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.fitting import FitStep
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.objectives import Objective, WeightPenalty, declaration_of
from napari_sparse_gmm.parameters import SPARSITY
from napari_sparse_gmm.regions import Region
from napari_sparse_gmm.wording import count

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from napari_sparse_gmm.engines import Data, Engine

# From where the penalty is hardly felt to where it leaves a few components.
SPARSITIES = (0.0, *np.geomspace(0.5, 200.0, 27).round(3).tolist())


class SparseModel(Protocol):
    """A scikit-learn estimator with a sparsity: what a path needs of `SparseGaussianMixture`.

    That stands above this module, for it has a method that gives a path.
    """

    n_components: int | None
    sparsity: float
    prior: str | WeightPenalty | Objective
    init: str | ArrayLike | GaussianMixture
    background: bool | Region
    mixture_: GaussianMixture
    cost_: float

    def open(
        self,
        X: "Data",
        *,
        sample_weight: ArrayLike | None = None,
        noise_std: ArrayLike | None = None,
    ) -> "Engine":
        """What holds the points of all fits."""
        ...


@dataclass(frozen=True, eq=False)
class PathPoint:
    """One solution.

    Parameters
    ----------
    model : SparseGaussianMixture
        Fitted with this sparsity.
    bic : float
        Bayesian information criterion; the lower the better.
    icl : float
        Integrated completed likelihood (Biernacki, Celeux & Govaert, IEEE TPAMI 22(7), 2000), with
        each point given to its most probable component: BIC, and a penalty on clusters that
        overlap. The lower the better.
    held_out : float
        Mean log density of points that were not fitted; NaN where there are none.
    """

    model: SparseModel
    bic: float
    icl: float
    held_out: float

    @property
    def sparsity(self) -> float:
        """s of the prior "sqrt"."""
        return self.model.sparsity

    @property
    def mixture(self) -> GaussianMixture:
        """The solution."""
        return self.model.mixture_

    @property
    def cost(self) -> float:
        """Penalty included, in nats per point."""
        return self.model.cost_


@dataclass(frozen=True, eq=False)
class SparsityPath:
    """Solutions in the order of their sparsity, each started from the one before."""

    points: tuple[PathPoint, ...]

    def __len__(self) -> int:
        return len(self.points)

    def __iter__(self) -> Iterator[PathPoint]:
        return iter(self.points)

    def __getitem__(self, index: int) -> PathPoint:
        return self.points[index]

    @property
    def sparsity(self) -> FloatArray:
        """s of each, (P,)."""
        return np.array([point.sparsity for point in self.points])

    @property
    def n_components(self) -> NDArray[np.intp]:
        """How many components are left, (P,)."""
        return np.array([point.mixture.n_components for point in self.points], dtype=np.intp)

    @property
    def cost(self) -> FloatArray:
        """Penalty included, in nats per point, (P,)."""
        return np.array([point.cost for point in self.points])

    @property
    def bic(self) -> FloatArray:
        """Bayesian information criterion, (P,)."""
        return np.array([point.bic for point in self.points])

    @property
    def icl(self) -> FloatArray:
        """Integrated completed likelihood, (P,)."""
        return np.array([point.icl for point in self.points])

    @property
    def held_out(self) -> FloatArray:
        """Mean log density of points that were not fitted, (P,)."""
        return np.array([point.held_out for point in self.points])

    @property
    def suggested(self) -> PathPoint:
        """That of the highest density of held-out points; without any, of the lowest BIC."""
        if np.isfinite(self.held_out).any():
            return self.points[int(np.nanargmax(self.held_out))]
        return self.points[int(np.argmin(np.where(np.isnan(self.bic), np.inf, self.bic)))]

    @property
    def why(self) -> str:
        """Why that is suggested, in a sentence."""
        k, most = self.suggested.mixture.n_components, self.suggested.model.n_components
        held_out = np.isfinite(self.held_out).any()
        why = f"With s = {self.suggested.sparsity:g}, {count(k, 'component')}, " + (
            "points that were not fitted are the likeliest"
            if held_out
            else "the Bayesian information criterion is the lowest"
        )
        if most is not None and k >= most:
            return f"{why}. There may be no more components than these: allow more, and compare."
        return (
            f"{why}." if held_out else f"{why}: more components would not pay for their parameters."
        )

    def plot(self, axes: "Axes | None" = None) -> "Axes":
        """Components, BIC and ICL over s, on Matplotlib axes; new ones where none are given."""
        if axes is None:
            from matplotlib import pyplot

            axes = pyplot.subplots(layout="constrained")[1]
        (left,) = axes.step(
            self.sparsity, self.n_components, where="mid", color="C0", label="components"
        )
        # Linear up to the least that is above 0, which takes little room.
        least = float(self.sparsity[self.sparsity > 0].min(initial=1.0))
        axes.set_xscale("symlog", linthresh=least, linscale=0.3)
        decades = np.arange(np.ceil(np.log10(least)), np.log10(self.sparsity.max(initial=1)) + 1)
        axes.set_xticks([0.0, *10.0**decades], ["0", *(f"{s:g}" for s in 10.0**decades)])
        axes.set_xlim(-0.5 * least, 1.2 * float(self.sparsity.max(initial=1.0)))
        axes.set_xlabel("sparsity s")
        axes.set_ylabel("components")
        axes.set_ylim(bottom=0)
        chosen = axes.axvline(self.suggested.sparsity, color="0.5", linestyle=":")
        chosen.set_label("suggested")
        other = axes.twinx()
        lines = [left]
        for name, values, color in (("BIC", self.bic, "C1"), ("ICL", self.icl, "C2")):
            lines += other.plot(self.sparsity, values, ".-", color=color, label=name)
        other.set_ylabel("criterion (lower is better)")
        # Above the axes: among the lines there is no room.
        other.legend(
            handles=[*lines, chosen],
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            ncols=4,
            frameon=False,
            columnspacing=1.2,
            handlelength=1.5,
        )
        return axes


def iter_path(
    model: SparseModel,
    X: "Data",
    sparsities: Sequence[float] = SPARSITIES,
    *,
    sample_weight: ArrayLike | None = None,
    noise_std: ArrayLike | None = None,
    X_held_out: "Data | None" = None,
    noise_std_held_out: ArrayLike | None = None,
) -> Generator[FitStep | PathPoint, None, None]:
    """The solutions of the prior "sqrt" for rising s: the steps to each, and then itself.

    The first starts as the model does, every other from the one before. Ends where one component
    is left, or none.

    Parameters
    ----------
    model : SparseGaussianMixture
        With the parameters of the fits; is left as it is.
    X : (N, D) array
    sparsities : sequence of float
    sample_weight, noise_std : optional
        As `SparseGaussianMixture.fit` takes them.
    X_held_out : (N', D) array, optional
        Points that are not fitted, to judge the solutions by.
    noise_std_held_out : optional
        What `noise_std` is, of those.

    Raises
    ------
    InputError
        Where the model has another prior, or a value is invalid.
    """
    if SPARSITY.name not in declaration_of(model.prior).uses:
        raise InputError(f"A path is one of prior='sqrt', not of prior={model.prior!r}.")
    values = float_array(sparsities, "sparsities", finite=True)
    if values.ndim != 1 or not len(values):
        raise InputError("A path needs one sparsity at least.")
    engine = model.open(X, sample_weight=sample_weight, noise_std=noise_std)
    start: str | ArrayLike | GaussianMixture = model.init
    for sparsity in np.sort(values).tolist():
        # `clone` copies a region, and what is known of its points is known of that object.
        fitted = clone(model).set_params(sparsity=sparsity, init=start, background=model.background)
        yield from fitted.iter_fit(engine)
        held_out = np.nan
        if X_held_out is not None:
            held_out = fitted.score(X_held_out, noise_std=noise_std_held_out)
        bic, icl = fitted.criteria(engine)
        yield PathPoint(fitted, bic, icl, held_out)
        if fitted.n_components_ <= 1:
            return
        start = fitted.mixture_
