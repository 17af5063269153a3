"""What the status line advises is followed, and what comes out is better."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from napari.layers import Points, Shapes
from sklearn.metrics import adjusted_rand_score

from napari_sparse_gmm import SparseGaussianMixture, parameters
from napari_sparse_gmm.density_model import DensityModel
from napari_sparse_gmm.plugin.control.request import ask
from napari_sparse_gmm.plugin.messages import summary
from napari_sparse_gmm.plugin.points.source import Around, Source
from napari_sparse_gmm.plugin.tasks.fit import fit
from napari_sparse_gmm.plugin.tasks.task import at_once
from napari_sparse_gmm.plugin.tasks.values import HeatmapChoice, Outcome
from napari_sparse_gmm.samples import smlm_clusters

CLUSTERS, DENSITY, SPARSE = (preset.values for preset in parameters.PRESETS)


def fitted(
    points: np.ndarray, region: Around | Shapes = Around.BOX, **settings: Any
) -> tuple[DensityModel, str]:
    """What Run finds with these settings, and what the status line says."""
    layer = Points(points, name="L")
    source = Source(layer, (0, 1), region=region)
    cloud = source.read()
    settings = {
        **SparseGaussianMixture(random_state=parameters.SEED, engine="torch").get_params(),
        **settings,
    }
    known = {p.name for p in vars(parameters).values() if isinstance(p, parameters.Parameter)}
    settings = {name: value for name, value in settings.items() if name in known}
    picture = HeatmapChoice("density", 32, None)
    asked = ask(source, cloud.shown, cloud, settings, picture, None)
    result = at_once(fit(asked.request))
    assert isinstance(result, Outcome)
    return result.model, summary(result.model, cloud, 2000)


def cost(model: DensityModel) -> float:
    return model.fitted[0].cost


def likelihood(model: DensityModel) -> float:
    density = model.fitted[0].mean_log_density
    assert density is not None
    return density


@pytest.fixture(scope="module")
def sample() -> Any:
    return smlm_clusters()


def agreement(model: DensityModel, sample: Any) -> float:
    component = model.fitted[0].mixture.responsibilities(sample.points).argmax(1)
    return adjusted_rand_score(sample.features["truth"], component)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        pytest.param(SPARSE, "A component is as wide as the field", id="wide"),
        pytest.param(
            {**SPARSE, "background": True, "sparsity": 12.0},
            "Nearly all points went to the background",
            id="faint",
        ),
    ],
)
def test_find_clusters_instead(sample: Any, settings: dict[str, Any], words: str) -> None:
    before, said = fitted(sample.points, **settings)
    assert words in said
    assert f"choose “{parameters.PRESETS[0].label}” under Find" in said
    after, said = fitted(sample.points, **CLUSTERS)
    assert agreement(after, sample) > agreement(before, sample) + 0.2
    assert "choose" not in said
    assert "raise" not in said


@pytest.mark.parametrize(
    ("settings", "words", "change", "better"),
    [
        pytest.param(
            {"n_components": 5},
            "as many components as may be: raise “Components at most” (Advanced) above 5",
            {"n_components": 20},
            cost,
            id="too few",
        ),
        pytest.param(
            {"max_iter": 3},
            "raise “Iterations at most”",
            {"max_iter": 500},
            cost,
            id="not converged",
        ),
        pytest.param(
            {**SPARSE, "background": True, "sparsity": 150.0},
            "No component is left: lower Sparsity",
            {"sparsity": 3.0},
            lambda model: -likelihood(model),
            id="none left",
        ),
    ],
)
def test_another_value(
    sample: Any,
    settings: dict[str, Any],
    words: str,
    change: dict[str, Any],
    better: Callable[[DensityModel], float],
) -> None:
    before, said = fitted(sample.points, **settings)
    assert words in said
    after, said = fitted(sample.points, **{**settings, **change})
    assert better(after) < better(before)
    assert words not in said


def discs(n_discs: int, rng: np.random.Generator) -> np.ndarray:
    """Points scattered evenly in round picks, far from each other, of a radius of 100."""
    angle, radius = rng.uniform(0.0, 2.0 * np.pi, 1500), 100.0 * np.sqrt(rng.uniform(size=1500))
    centres = PICKS[rng.integers(n_discs, size=1500)]
    return centres + radius[:, None] * np.column_stack([np.sin(angle), np.cos(angle)])


PICKS = np.array([[0.0, 0.0], [200.0, 900.0], [800.0, 300.0]])


def test_a_region_around_each_of_several_places() -> None:
    points = discs(3, np.random.default_rng(0))
    before, said = fitted(points)
    assert "the points lie in 3 places apart: draw a shape around each" in said
    assert "convex hull" not in said
    square = 100.0 * np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, 1.0], [1.0, -1.0]])
    drawn = Shapes([centre + square for centre in PICKS], shape_type="ellipse")
    after, said = fitted(points, drawn)
    assert "places apart" not in said
    assert after.fitted[0].mixture.background_weight > 0.9
    assert before.fitted[0].mixture.background_weight < 0.01
    # Around a single one the hull will do.
    single, said = fitted(discs(1, np.random.default_rng(0)))
    assert single.fitted[0].mixture.background_weight > 0.5 or "convex hull" in said
    assert "places apart" not in said


def test_clusters_far_from_each_other_are_no_places_to_draw_around() -> None:
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(centre, 20.0, (200, 2)) for centre in PICKS])
    found, said = fitted(points)
    assert found.fitted[0].mixture.n_components == 3
    assert "places apart" not in said


def test_another_region() -> None:
    """A cell with three corners: in its bounding box large components take what is scattered, where
    the background is held even there.
    """
    rng = np.random.default_rng(0)
    corners = np.array([[0.0, 0.0], [0.0, 2000.0], [2000.0, 1000.0]])
    scattered = rng.dirichlet([1.0, 1.0, 1.0], 2000) @ corners
    centres = rng.uniform(600, 1000, (8, 2))
    points = np.concatenate([scattered, *(rng.normal(c, 15.0, (40, 2)) for c in centres)])
    before, said = fitted(points, smooth_background=False)
    assert "choose another Region, the convex hull" in said
    by_itself, said = fitted(points)
    assert "choose another Region" not in said
    assert by_itself.fitted[0].mixture.n_components == 8
    after, said = fitted(points, Around.HULL)
    assert "choose another Region" not in said
    assert after.fitted[0].mixture.n_components == 8
    assert after.fitted[0].mixture.background_weight == pytest.approx(2000 / 2320, abs=0.03)
    assert likelihood(after) > likelihood(before)


def test_molecules_are_found_where_repeats_are_taken_for_points() -> None:
    """Molecules that blink, scattered: no cluster of them; with the advice, they themselves."""
    rng = np.random.default_rng(0)
    times = rng.geometric(0.1, 60)
    molecules = rng.uniform(0.0, 2000.0, (60, 2)).repeat(times, axis=0)
    points = molecules + 10.0 * rng.standard_normal(molecules.shape)
    before, said = fitted(points, **CLUSTERS)
    assert before.fitted[0].mixture.n_components < 10
    assert "points count as one: they repeat" in said
    after, said = fitted(points, **CLUSTERS | {"repeats": 1.0})
    assert after.fitted[0].mixture.n_components > 40
    assert "count as one" not in said


def test_a_smooth_density_has_the_molecules_that_are_seen_again() -> None:
    rng = np.random.default_rng(0)
    times = rng.geometric(0.1, 60)
    molecules = rng.uniform(0.0, 2000.0, (60, 2)).repeat(times, axis=0)
    points = rng.permutation(molecules + 10.0 * rng.standard_normal(molecules.shape))
    held_out = points[1::2]
    clusters, _ = fitted(points[::2], **CLUSTERS)
    smooth, _ = fitted(points[::2], **DENSITY)
    gain = smooth.mixture.log_density(held_out) - clusters.mixture.log_density(held_out)
    assert clusters.fitted[0].repeats > 1.0
    assert np.mean(gain[np.isfinite(gain)]) > 0.3
