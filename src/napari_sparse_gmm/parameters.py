"""The parameters of a fit and of its picture, each written once.

The estimator takes its defaults from here, the command line its options and
help texts, the dock widget its labels, ranges and tooltips::

    >>> SPARSITY.default
    20.0
"""

from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any

from napari_sparse_gmm.arrays import LARGEST, SMALLEST
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.objectives import PRIORS


@dataclass(frozen=True)
class Parameter:
    """One parameter, in the words of the person who sets it.

    `minimum` and `maximum` are the ends of its field or slider; the lower one is that of its
    meaning, too. A larger number than `largest`, or one above 0 below `smallest`, is refused
    everywhere. Integers are those whose minimum is one.
    """

    name: str
    default: Any
    label: str
    help: str
    choices: tuple[str, ...] | None = None
    choice_labels: dict[str, str] = field(default_factory=dict)
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None  # the first one up from 0, where steps in a field matter
    smallest: float = 0.0
    largest: float = LARGEST

    def check(self, value: Any) -> None:
        """Raise an InputError that names the parameter where a number is out of its range."""
        if value is None and self.default is None:
            return
        integer = isinstance(self.minimum, int)
        # NumPy's numbers are numbers, too.
        right = isinstance(value, Integral if integer else Real) and not isinstance(value, bool)
        if not right or not value >= (self.minimum or 0):
            wanted = f"of at least {self.minimum}"
        elif value > self.largest:
            wanted = f"of at most {self.largest:g}"
        elif 0 < value < self.smallest:
            wanted = f"that is 0 or at least {self.smallest:g}"
        else:
            return
        number = "an integer" if integer else "a number"
        raise InputError(f"{self.name} must be {number} {wanted}, not {value!r:.40}.")


@dataclass(frozen=True)
class Preset:
    """Values of some parameters that together answer a question.

    Parameters
    ----------
    name, label, help : str
        In the words of the person who chooses.
    values : dict
        By the names of the parameters; all others stay.
    """

    name: str
    label: str
    help: str
    values: dict[str, Any]


N_COMPONENTS = Parameter(
    "n_components",
    None,
    "Components at most",
    "How many Gaussian components there may be. The priors that find their number by themselves "
    "need no limit. Sparse and None start from as many, 30 where nothing is said: Sparse removes "
    "those that the points do not need, so take more than you expect clusters.",
    minimum=1,
    maximum=10_000,
    largest=1_000_000,
)
SPARSITY = Parameter(
    "sparsity",
    20.0,
    "Sparsity",
    "How strongly the prior Sparse pushes small components out; no other prior uses it. 0 pushes "
    "none; a larger value leaves fewer and larger ones.",
    minimum=0.0,
    maximum=200.0,
)
PRIOR = Parameter(
    "prior",
    "bayes",
    "Prior",
    " ".join(
        [
            "What decides how many components remain.",
            *(
                f"{each.label.partition(' (')[0]} ({each.name}): {each.help}"
                for each in PRIORS.values()
            ),
        ]
    ),
    choices=tuple(PRIORS),
    choice_labels={each.name: each.label for each in PRIORS.values()},
)
SOLVER = Parameter(
    "solver",
    "mm",
    "Solver",
    "How the cost is minimised. Both minimise the same cost; majorise-minimise is faster "
    "and never goes uphill.",
    choices=("mm", "adam"),
    choice_labels={"mm": "Majorise-minimise (fast)", "adam": "Adam gradient descent"},
)
BACKGROUND = Parameter(
    "background",
    True,
    "Background",
    "Model points that belong to no cluster as a background, over their bounding box or another "
    "region, so that scattered points do not need components of their own.",
)
SMOOTH_BACKGROUND = Parameter(
    "smooth_background",
    True,
    "Smooth background",
    "Where the points say so, the background is denser on one side than on the other, thinner "
    "towards the edge of a cell, or fills less than the box around the points, so that this is no "
    "cluster; otherwise it is even. Under Bayes, in up to three dimensions.",
)
COVARIANCE_TYPE = Parameter(
    "covariance_type",
    "auto",
    "Shape",
    "What components may be like: ellipses of any shape, or round. Automatic: under Bayes round "
    "ones where the points as a whole are likelier then, since from a few points the shape of each "
    "is hardly known; under the other priors any.",
    choices=("auto", "full", "spherical"),
    choice_labels={"auto": "Automatic", "full": "Any ellipse", "spherical": "Round"},
)
COVARIANCE_FLOOR = Parameter(
    "covariance_floor",
    None,
    "Smallest size",
    "Smallest standard deviation that a component may have, in the unit of the points. Automatic: "
    "half the median distance between neighbouring points; where their precision is given, a tenth "
    "of its median.",
    minimum=0.0,
    smallest=SMALLEST,
)
COVARIANCE_PRIOR = Parameter(
    "covariance_prior",
    0.0,
    "Prior on sizes",
    "How many points a prior on the size of each component is worth: with 5, a component of 20 "
    "points gets a fifth of its shape from the typical size, one of 500 points 1%. Takes needles "
    "through a few points away. 0 is no such prior. Bayes learns one of its own instead.",
    minimum=0.0,
    maximum=10_000.0,
    step=1.0,
)
TYPICAL_SIZE = Parameter(
    "typical_size",
    None,
    "Typical size",
    "The standard deviation of components that the prior on sizes expects, in the unit of the "
    "points. Automatic: such that as many balls as there are Components would together fill the "
    "field.",
    minimum=0.0,
    smallest=SMALLEST,
)
REPEATS = Parameter(
    "repeats",
    None,
    "Repeats",
    "How many points are one observation. A molecule that blinks is localized again and again, and "
    "so is a small cluster by itself, even a scattered one. Automatic: read off the places where "
    "the points are sparse; 1 where they do not repeat there. For the molecules themselves take 1.",
    minimum=1.0,
    maximum=1_000.0,
    step=1.0,
    largest=1e6,
)
INIT = Parameter(
    "init",
    "auto",
    "Start",
    "Where the components start: as it suits the prior (automatic), spread over the points "
    "(k-means++), wherever the points are densest, at every scale, for thousands of clusters "
    "(density), or at random in the bounding box (random). The prior Bayes starts in its own way.",
    choices=("auto", "kmeans++", "density", "random"),
    choice_labels={
        "auto": "Automatic",
        "kmeans++": "k-means++",
        "density": "Density",
        "random": "Random",
    },
)
N_INIT = Parameter(
    "n_init",
    1,
    "Starts",
    "How many times to fit from a different start; the solution of lowest cost is kept.",
    minimum=1,
    maximum=100,
    largest=10_000,
)
MAX_ITER = Parameter(
    "max_iter",
    500,
    "Iterations at most",
    "The fit stops after this many iterations even where it still improves.",
    minimum=1,
    maximum=100_000,
    largest=1_000_000_000,
)
TOL = Parameter(
    "tol",
    1e-6,
    "Tolerance",
    "The fit has converged when an iteration improves the cost by less than this.",
    minimum=0.0,
)
ENGINE = Parameter(
    "engine",
    "auto",
    "Engine",
    "What computes the sums over points. Automatic takes the fastest that works here.",
    choices=("auto", "fused", "keops", "torch"),
    choice_labels={
        "auto": "Automatic",
        "fused": "Compiled",
        "keops": "KeOps",
        "torch": "PyTorch",
    },
)
DEVICE = Parameter(
    "device",
    "auto",
    "Device",
    "Where to compute. Automatic takes a CUDA graphics card where there is one.",
    choices=("auto", "cpu", "cuda"),
    choice_labels={"auto": "Automatic", "cpu": "Processor", "cuda": "Graphics card (CUDA)"},
)
N_THREADS = Parameter(
    "n_threads",
    None,
    "Threads",
    "How many processor threads a fit may use. Where no number is given, compiled kernels take "
    "all cores, and PyTorch and KeOps, whose threads wait for each other, all but one.",
    minimum=1,
    maximum=1_024,
    largest=1_024,
)
# Who computes, which changes nothing in the result.
COMPUTING = (ENGINE.name, DEVICE.name, N_THREADS.name)
RANDOM_STATE = Parameter(
    "random_state",
    None,
    "Random seed",
    "The same seed gives the same start and so the same solution.",
    minimum=0,
    maximum=2**31 - 1,
)
# In the window and on the command line the same click or line gives the same result; in Python None
# is scikit-learn's.
SEED = 0

# What one can ask for; the first is what a fit does by itself.
PRESETS = (
    Preset(
        "clusters",
        "Clusters on a background",
        "How many clusters there are, where, and how large, among scattered points.",
        {
            PRIOR.name: PRIOR.default,
            N_COMPONENTS.name: N_COMPONENTS.default,
            BACKGROUND.name: BACKGROUND.default,
            SMOOTH_BACKGROUND.name: SMOOTH_BACKGROUND.default,
            COVARIANCE_TYPE.name: COVARIANCE_TYPE.default,
            REPEATS.name: REPEATS.default,
            SOLVER.name: SOLVER.default,
        },
    ),
    Preset(
        "density",
        "A smooth density",
        "How dense the points lie, of whatever shape that is: without a background, components "
        "account for all of them, and molecules that are seen again are seen.",
        {
            PRIOR.name: PRIOR.default,
            N_COMPONENTS.name: N_COMPONENTS.default,
            BACKGROUND.name: False,
            REPEATS.name: 1.0,
            SOLVER.name: SOLVER.default,
        },
    ),
    Preset(
        "sparse",
        "A sparse mixture",
        "As many components as a slider leaves: the mixture of the KeOps tutorial.",
        {
            PRIOR.name: "sqrt",
            N_COMPONENTS.name: 30,
            BACKGROUND.name: False,
        },
    ),
)

QUANTITY = Parameter(
    "quantity",
    "density",
    "Heatmap shows",
    "Which quantity the heatmap shows.",
    choices=("density", "expected_points", "log_density"),
    choice_labels={
        "density": "Probability density",
        "expected_points": "Expected points per unit area",
        "log_density": "Log density",
    },
)
LONGEST_SIDE = Parameter(
    "longest_side",
    512,
    "Pixels (longest side)",
    "Size of the heatmap: pixels along its longest side. It counts while the pixel size is "
    "automatic.",
    minimum=16,
    maximum=8_192,
)
PIXEL_SIZE = Parameter(
    "pixel_size",
    None,
    "Pixel size",
    "Size of a heatmap pixel, in the unit of the points. Automatic: such that the longest side has "
    f"{LONGEST_SIDE.default} pixels, fewer in 3D, or as many as are chosen.",
    minimum=0.0,
)
COVERAGE = Parameter(
    "coverage",
    95.0,
    "Ellipse holds (%)",
    "Each ellipse is drawn so large that it holds this share of its component's points.",
    minimum=1.0,
    maximum=99.9,
)
ANNOTATE = Parameter(
    "annotate",
    False,
    "Colour points by component",
    "Give every point the colour of its most probable component, grey for the background, and "
    "the features component (-1: none), probability, log_density and is_background.",
)
CONTOURS = Parameter(
    "contours",
    False,
    "Contours",
    "Draw lines of equal density (2D): those that hold 50%, 80% and 95% of the points, as a Shapes "
    "layer of their own.",
)
SHARPEN = Parameter(
    "sharpen",
    True,
    "Sharpen when zoomed in",
    "Where components are narrower than a few pixels, compute the part of the heatmap that is in "
    "the view with finer pixels (2D view, automatic pixel size).",
)
LIVE = Parameter(
    "live",
    False,
    "Live",
    "Fit anew whenever a parameter changes, from the last solution; then look whether a fit from "
    "the start is better. Needs a first Run.",
)

N_SHIFTS = Parameter(
    "n_shifts",
    999,
    "Random shifts",
    "How often the second channel is moved at random. The smallest p value that n shifts can give "
    "is 1 / (n + 1).",
    minimum=19,
    maximum=99_999,
)
