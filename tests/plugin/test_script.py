"""The lines that repeat a fit: run, and compared to a fit of what was read."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Layer, Points, Shapes
from pandas import Categorical

from napari_sparse_gmm import GaussianMixture, SparseGaussianMixture, parameters
from napari_sparse_gmm.groups import fit_groups
from napari_sparse_gmm.plugin.points.source import Apart, Around, Cloud, Source
from napari_sparse_gmm.plugin.script import script

DEFAULTS = {p.name: p.default for p in vars(parameters).values() if hasattr(p, "default")}
ESTIMATOR = {
    n: DEFAULTS[n]
    for n in SparseGaussianMixture(prior="sqrt", background=False).get_params()
    if n in DEFAULTS
}


def settings(**changes: Any) -> dict[str, Any]:
    """All parameters of a small fit."""
    small = {"n_components": 6, "prior": "sqrt", "background": False, "sparsity": 4.0}
    small |= {"random_state": 3, "engine": "torch"}
    return {**ESTIMATOR, **small, "device": "cpu", "n_threads": 1, **changes}


def blobs(n_dimensions: int = 2, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.uniform(0, 100, (3, n_dimensions))
    return np.concatenate([rng.normal(centre, 4.0, (60, n_dimensions)) for centre in centres])


def given(cloud: Cloud, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a fit of these points."""
    background = chosen["background"]
    if background and cloud.region is not None:
        background = cloud.region
    return {**chosen, "background": background}


def run_script(
    layer: Points,
    source: Source,
    cloud: Cloud,
    chosen: Mapping[str, Any],
    path_index: int | None = None,
    starts: Sequence[GaussianMixture | None] = (),
) -> dict[str, Any]:
    """Everything that the lines leave behind, in a viewer with the layer and others."""
    viewer = ViewerModel()
    viewer.add_points(np.zeros((5, layer.ndim)), name="other")
    viewer.add_layer(layer)
    if isinstance(source.region, Layer):
        viewer.add_layer(source.region)
    text = script(source, cloud, given(cloud, chosen), starts, path_index)
    left: dict[str, Any] = {"viewer": viewer}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of small fits that did not converge
        exec(compile(text, "script", "exec"), left)
    return left


def assert_same(model: SparseGaussianMixture, expected: SparseGaussianMixture) -> None:
    assert expected.n_components_ >= 1
    np.testing.assert_allclose(model.means_, expected.means_, rtol=1e-10)
    np.testing.assert_allclose(model.covariances_, expected.covariances_, rtol=1e-10)
    np.testing.assert_allclose(model.weights_, expected.weights_, rtol=1e-10)
    assert model.cost_ == pytest.approx(expected.cost_)


def check(source: Source, used: np.ndarray | None = None, **changes: Any) -> Cloud:
    """The lines give the fit of what the source gives."""
    cloud, chosen = source.read(used), settings(**changes)
    left = run_script(source.layer, source, cloud, chosen)
    expected = SparseGaussianMixture(**given(cloud, chosen))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        expected.fit(cloud.observations)
    np.testing.assert_array_equal(left["points"], cloud.points)
    assert left["model"].get_params().keys() == expected.get_params().keys()
    for name, value in expected.get_params().items():
        if name != "background":
            assert left["model"].get_params()[name] == value, name
    assert_same(left["model"], expected)
    return cloud


PRECISE = {"sigma": np.linspace(0.5, 3.0, 180), "depth": np.linspace(2.0, 6.0, 180)}


@pytest.mark.parametrize(
    "pose",
    [
        pytest.param({}, id="plain"),
        pytest.param({"scale": (3.0, 0.5)}, id="anisotropic"),
        pytest.param({"scale": (2.0, -0.7), "rotate": 30.0, "translate": (7, 8)}, id="mirrored"),
        pytest.param({"units": "nm", "axis_labels": ("rows", "columns")}, id="units and labels"),
        pytest.param({"units": ("um", "nm")}, id="different units"),
    ],
)
def test_a_layer_in_any_pose(pose: dict[str, Any]) -> None:
    check(Source(Points(blobs(), name="L", **pose), (0, 1)))


@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_coordinates_of_any_type(dtype: str) -> None:
    check(Source(Points(blobs().astype(dtype), name="L", scale=(0.3, 1.7)), (0, 1)))


def test_some_axes_of_a_volume() -> None:
    layer = Points(blobs(3), name="L", scale=(4.0, 1.0, 0.5))
    check(Source(layer, (0, 2)))
    check(Source(layer, (0, 1, 2)))


def test_hidden_points_and_a_subset() -> None:
    layer = Points(blobs(), name="L", shown=np.arange(180) % 5 > 0)
    cloud = check(Source(layer, (0, 1)))
    assert len(cloud.points) == 144
    cloud = check(Source(layer, (0, 1)), used=np.arange(180) % 3 > 0)
    assert len(cloud.points) == 96


@pytest.mark.parametrize("used", [None, np.arange(180) % 7 > 0], ids=["all", "some"])
def test_weights_and_precision(used: np.ndarray | None) -> None:
    features = {**PRECISE, "it's a count": np.arange(180) % 4}
    flat = Points(blobs(), name="L", features=features, scale=(2.0, 2.0))
    check(Source(flat, (0, 1), weights="it's a count"), used)
    check(Source(flat, (0, 1), precision="sigma"), used)
    deep = Points(blobs(3), name="L", features=features)
    check(Source(deep, (0, 1, 2), precision="sigma"), used)
    check(Source(deep, (0, 1, 2), precision="sigma", axial_precision="depth"), used)
    check(Source(deep, (1, 2), precision="sigma", axial_precision="depth"), used)


def test_background_over_a_box_and_a_hull() -> None:
    for n in (2, 3):
        layer, axes = Points(blobs(n), name="L"), tuple(range(n))
        check(Source(layer, axes), background=True)
        check(Source(layer, axes, region=Around.HULL), background=True)
        check(Source(layer, axes, region=Around.HULL), background=False)
    some = np.arange(180) % 2 > 0
    check(Source(layer, axes, region=Around.HULL), some, background=True)


@pytest.mark.parametrize("background", [True, False])
def test_a_drawn_region(background: bool) -> None:
    layer = Points(blobs(), name="L", scale=(2.0, 1.0))
    corners = np.array([[20.0, 0.0], [110.0, 20.0], [60.0, 110.0], [-5.0, 70.0]])
    drawn = Shapes([corners], shape_type="polygon", scale=(2.0, 1.0))
    cloud = check(Source(layer, (0, 1), region=drawn), background=background)
    assert 0 < cloud.n_outside < 150


@pytest.mark.parametrize("n_dimensions", [2, 3])
@pytest.mark.parametrize("kind", ["image", "scales", "stack"])
def test_an_image_as_the_region(kind: str, n_dimensions: int) -> None:
    """Of the plane, of several scales, or of an axis more than is modelled."""
    pixels = np.random.default_rng(0).integers(1, 4000, (3, 40, 50)).astype(np.uint16)
    pixels[:, 5:8, 5:9] = 0
    points, axes = blobs(n_dimensions), tuple(range(n_dimensions))
    pose: dict[str, Any] = {"scale": (3.0, 3.0), "units": "nm"}
    data: Any = pixels[0]
    if kind == "image":
        pose["rotate"] = 20.0
    elif kind == "scales":
        data = [pixels[0], pixels[0, ::2, ::2]]
    else:
        points = np.column_stack([np.zeros(len(points)), points])
        axes = tuple(axis + 1 for axis in axes)
        data = pixels if n_dimensions == 2 else np.repeat(pixels[:, None], 40, axis=1)
        pose["scale"] = (3.0,) * data.ndim
    layer = Points(points, name="L", units="nm")
    image = Image(data, name="it's", **pose)
    cloud = check(Source(layer, axes, region=image), background=True, prior="bayes", sparsity=1.0)
    assert 0 < cloud.n_outside < 90


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"prior": "mml"}, id="mml"),
        pytest.param({"prior": "bayes", "background": True}, id="bayes"),
        pytest.param({"prior": "none", "init": "random", "n_init": 2}, id="random starts"),
        pytest.param({"solver": "adam", "max_iter": 50}, id="adam"),
        pytest.param({"covariance_floor": 2.5, "covariance_prior": 3.0}, id="sizes"),
        pytest.param({"covariance_prior": 9.0, "typical_size": 6.0, "tol": 1e-3}, id="typical"),
    ],
)
def test_other_parameters(changes: dict[str, Any]) -> None:
    check(Source(Points(blobs(), name="L"), (0, 1)), **changes)


def test_a_path() -> None:
    features = {"n": 1 + np.arange(180) % 2}
    source = Source(Points(blobs(), name="L", features=features), (0, 1), weights="n")
    cloud, chosen = source.read(np.arange(180) % 3 > 0), settings()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        path = SparseGaussianMixture(**chosen).sparsity_path(cloud.observations)
    for place in (0, len(path) - 1):
        left = run_script(source.layer, source, cloud, chosen, place)
        assert_same(left["model"], path[place].model)


@pytest.mark.parametrize(
    "each", [0, "cell", "kind", "number", "flag"], ids=lambda each: f"each {each}"
)
@pytest.mark.parametrize("used", [None, np.arange(180) % 7 > 0], ids=["all", "some"])
def test_groups(each: int | str, used: np.ndarray | None) -> None:
    """Three groups, named so that they sort differently as numbers, texts and categories."""
    of_points = np.arange(180) % 3
    kind = Categorical(np.array(["b", "c", "a"])[of_points], categories=["c", "b", "a"])
    features = {
        "cell": np.array(["10", "9", "é'"])[of_points],
        "kind": kind,
        "number": of_points.astype(float) * 10,
        "flag": of_points > 0,
        **PRECISE,
    }
    data = np.column_stack([of_points * 2.0, blobs()])
    layer = Points(data, name="L", features=features, scale=(5.0, 1.0, 2.0))
    source = Source(layer, (1, 2), each=each, precision="sigma")
    cloud, chosen = source.read(used), settings(background=True)
    left = run_script(layer, source, cloud, chosen)
    expected = fit_groups(SparseGaussianMixture(**chosen), cloud.observations, cloud.groups)
    assert len(left["fits"]) == len(expected) >= 2
    found = {tuple(fit.rows.tolist()): fit.model for fit in left["fits"]}
    for one in expected:
        assert_same(found[tuple(one.rows.tolist())], one.model)


@pytest.mark.parametrize("used", [None, np.arange(180) % 7 > 0], ids=["all", "some"])
def test_each_region(used: np.ndarray | None) -> None:
    """Two cells, one of them with a name that has to be quoted, and points in neither."""
    rng = np.random.default_rng(2)
    sides = np.array([[0, 0], [0, 1], [1, 1], [1, 0]])
    cells = Shapes(
        [sides * 50.0, sides * [40.0, 60.0] + [55.0, 0.0]],
        shape_type="polygon",
        features={"name": ["it's", "a"]},
        name="cells",
    )
    clustered = [rng.normal(centre, 4.0, (70, 2)) for centre in ([25, 30], [75, 30])]
    data = rng.permutation(np.concatenate([*clustered, rng.uniform(0, 100, (40, 2))]))
    layer = Points(data, name="L", features=PRECISE, scale=(1.0, 0.8))
    source = Source(layer, (0, 1), each=Apart.REGION, region=cells, precision="sigma")
    cloud, chosen = source.read(used), settings(background=True)
    assert cloud.frame.stack.labels.tolist() == ["a", "it's"]
    left = run_script(layer, source, cloud, chosen)
    assert [fit.label for fit in left["fits"]] == ["a", "it's"]
    expected = fit_groups(
        SparseGaussianMixture(**chosen),
        cloud.observations,
        cloud.groups,
        regions=cloud.own_regions,
    )
    for one, other in zip(left["fits"], expected, strict=True):
        assert one.rows.tolist() == other.rows.tolist()
        assert_same(one.model, other.model)


@pytest.mark.parametrize(
    "name", ["it's", 'say "so"', "both ' and \"", "Zellkern µm – 細胞", "a\\n\nb", "{x}"]
)
def test_any_name(name: str) -> None:
    features = {name: np.arange(180) % 4}
    labels = (name, f"{name} x")
    layer = Points(blobs(), name=name, features=features, axis_labels=labels)
    check(Source(layer, (0, 1), weights=name), np.arange(180) % 2 > 0)


def test_only_what_differs_is_said() -> None:
    source = Source(Points(blobs(), name="L", units="nm"), (0, 1))
    text = script(source, source.read(), {**ESTIMATOR, "sparsity": 3.5})
    assert text.splitlines() == [
        "from napari_sparse_gmm import SparseGaussianMixture",
        "",
        "layer = viewer.layers['L']",
        "points = layer.data[:, [0, 1]] * layer.scale[[0, 1]]  # y, x in nm",
        "model = SparseGaussianMixture(",
        "    sparsity=3.5,",
        ")",
        "model.fit(points)",
        "print(model.n_components_, model.means_)",
    ]


def test_a_unit_that_there_is_not_is_not_said() -> None:
    source = Source(Points(blobs(), name="L", units=("um", "nm")), (0, 1))
    assert "# y, x\n" in script(source, source.read(), ESTIMATOR)


def test_a_fit_that_went_on_from_another_one() -> None:
    """Its start comes with the lines, digit by digit."""
    layer = Points(blobs(), name="L", units="nm")
    source, chosen = Source(layer, (0, 1)), settings(init="random", max_iter=1)
    cloud = source.read()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        anew = SparseGaussianMixture(**chosen).fit(cloud.points)
        earlier = SparseGaussianMixture(**{**chosen, "random_state": 8}).fit(cloud.points).mixture_
        expected = SparseGaussianMixture(**{**chosen, "init": earlier}).fit(cloud.points)
    left = run_script(layer, source, cloud, chosen, starts=[earlier])
    assert_same(left["model"], expected)
    assert abs(left["model"].cost_ - anew.cost_) > 1e-3


def test_groups_of_which_some_went_on_from_others() -> None:
    layer = Points(blobs(), name="L", features={"cell": np.repeat([4, 7, 9], 60)})
    source, chosen = Source(layer, (0, 1), each="cell"), settings(n_components=2, max_iter=1)
    used = np.repeat([True, False, True], 60)
    cloud = source.read(used)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        earlier = SparseGaussianMixture(**chosen).fit(cloud.points[60:]).mixture_
        starts = [None, earlier]
        expected = fit_groups(
            SparseGaussianMixture(**chosen), cloud.points, cloud.groups, starts=starts
        )
    left = run_script(layer, source, cloud, chosen, starts=starts)
    for one, other in zip(left["fits"], expected, strict=True):
        assert_same(one.model, other.model)


def test_lines_with_an_image_are_few_also_after_an_earlier_fit() -> None:
    layer = Points(blobs(), name="L")
    pixels = np.random.default_rng(0).integers(1, 4000, (300, 300)).astype(np.uint16)
    source = Source(layer, (0, 1), region=Image(pixels, name="actin"))
    chosen = settings(background=True, init="random", max_iter=1)
    cloud = source.read()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        earlier = SparseGaussianMixture(**given(cloud, {**chosen, "random_state": 8}))
        start = earlier.fit(cloud.points).mixture_
        expected = SparseGaussianMixture(**given(cloud, {**chosen, "init": start}))
        expected.fit(cloud.points)
    assert start.background_weight > 0
    assert_same(run_script(layer, source, cloud, chosen, starts=[start])["model"], expected)
    assert len(script(source, cloud, given(cloud, chosen), [start])) < 10_000
