"""Who gives wrong input reads a sentence; a mistake of the program keeps its traceback."""

import numpy as np
import pytest

import napari_sparse_gmm
from napari_sparse_gmm import InputError, SparseGaussianMixture, cli
from napari_sparse_gmm.groups import fit_groups
from napari_sparse_gmm.plugin.tasks.task import FitFailed, Refusal, at_once, guarded

POINTS = np.random.default_rng(0).normal(size=(20, 2))


def masked(values) -> np.ma.MaskedArray:
    return np.ma.masked_array(values, mask=np.arange(np.size(values)).reshape(np.shape(values)) < 2)


def test_it_is_a_value_error_of_the_package():
    assert issubclass(InputError, ValueError)
    assert "InputError" in dir(napari_sparse_gmm)
    assert not issubclass(np.linalg.LinAlgError, InputError)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"X": np.full((20, 2), np.nan)}, id="NaN"),
        pytest.param({"X": POINTS + 1j}, id="complex"),
        pytest.param({"X": [[1.0, 2.0], [3.0]]}, id="ragged"),
        pytest.param({"X": [["a", "b"], ["c", "d"]]}, id="text"),
        pytest.param({"X": [[10**400, 1], [2, 3]]}, id="400 digits"),
        pytest.param({"X": masked(POINTS)}, id="masked"),
        pytest.param({"sample_weight": masked(np.ones(20))}, id="masked weight"),
        pytest.param({"noise_std": masked(np.ones(20))}, id="masked noise"),
        pytest.param({"sample_weight": ["heavy"] * 20}, id="weight in words"),
        pytest.param({"noise_std": "small"}, id="noise in words"),
        pytest.param({"noise_std": [[1.0], [1.0, 2.0]]}, id="ragged noise"),
        pytest.param({"init": "somewhere"}, id="init"),
        pytest.param({"init": [[1.0, 2.0], [3.0]]}, id="ragged init"),
        pytest.param({"init": masked(POINTS)}, id="masked init"),
        pytest.param({"background": [["a", "b"]]}, id="background in words"),
        pytest.param({"random_state": "today"}, id="random state"),
    ],
)
def test_wrong_input_at_every_door(wrong):
    of_fit = {
        name: value for name, value in wrong.items() if name in ("sample_weight", "noise_std")
    }
    parameters = {name: value for name, value in wrong.items() if name not in ("X", *of_fit)}
    model, points = (
        SparseGaussianMixture(3, **{"prior": "sqrt", **parameters}),
        wrong.get("X", POINTS),
    )
    with pytest.raises(InputError):
        model.fit(points, **of_fit)
    with pytest.raises(InputError):
        fit_groups(model, points, np.zeros(len(points)), **of_fit)
    fitted = SparseGaussianMixture(3, random_state=0, prior="sqrt", background=False).fit(POINTS)
    if "X" in wrong or of_fit:
        with pytest.raises(InputError):
            fitted.standard_errors(points, **of_fit)
    if "X" in wrong or "noise_std" in wrong:
        with pytest.raises(InputError):
            fitted.predict(points, **of_fit)
        with pytest.raises(InputError):
            fitted.mixture_.density(points, **of_fit)


def test_a_tensor_with_a_gradient():
    torch = pytest.importorskip("torch")
    points = torch.tensor(POINTS, requires_grad=True)
    with pytest.raises(InputError, match=r"detach\(\)"):
        SparseGaussianMixture(3, prior="sqrt", background=False).fit(points)
    with pytest.raises(InputError, match=r"detach\(\)"):
        SparseGaussianMixture(3, prior="sqrt", background=False).fit(POINTS, noise_std=points[:, 0])


def test_a_masked_array_with_nothing_masked_is_an_array():
    plain, unmasked = (
        SparseGaussianMixture(3, random_state=0, prior="sqrt", background=False).fit(points)
        for points in (POINTS, np.ma.masked_array(POINTS))
    )
    np.testing.assert_array_equal(plain.means_, unmasked.means_)


@pytest.mark.parametrize("mistake", [ValueError("a bug"), np.linalg.LinAlgError("a bug")])
def test_a_mistake_of_the_program_is_not_taken_for_one_of_the_user(mistake, monkeypatch, tmp_path):
    def broken(*args, **kwargs):
        raise mistake

    table = tmp_path / "points.csv"
    table.write_text("x,y\n0,0\n1,2\n2,1\n")
    monkeypatch.setattr("napari_sparse_gmm.estimator.fit_steps", broken)
    with pytest.raises(type(mistake), match="a bug"):
        fit_groups(SparseGaussianMixture(prior="sqrt", background=False), POINTS, np.zeros(20))
    with pytest.raises(type(mistake), match="a bug"):
        cli.main(["fit", str(table), "--out", str(tmp_path / "out")])


def work(error):
    raise error
    yield


def test_the_plugin_refuses_input_and_reports_mistakes():
    assert at_once(guarded("fit", work(InputError("Give more.")))) == Refusal("Give more.")
    with pytest.raises(FitFailed, match="The fit failed with ValueError: a bug") as failed:
        at_once(guarded("fit", work(ValueError("a bug"))))
    assert isinstance(failed.value.__cause__, ValueError)  # with its traceback


def test_names_of_columns_are_looked_at_before_the_fit():
    pandas = pytest.importorskip("pandas")
    points = pandas.DataFrame(POINTS, columns=["x", 1])
    with pytest.raises(TypeError, match="all input features have string names"):
        next(SparseGaussianMixture(3, prior="sqrt", background=False).iter_fit(points))
