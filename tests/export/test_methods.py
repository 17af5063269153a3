"""What the paragraph of methods says is what the model says."""

from dataclasses import replace

from export.models import grouped, model

from napari_sparse_gmm.density_model import provenance
from napari_sparse_gmm.export.methods import methods


def made(**parameters: object) -> dict[str, object]:
    return provenance(
        source="locs.csv", parameters=parameters, engine="fused", engine_reason="Compiled."
    )


def test_all_numbers_are_of_the_model() -> None:
    text = methods(model(provenance=made(prior="bayes", max_iter=77, covariance_floor=0.5)))
    for told in (
        "1,000 points in 2D (y, x, in nm)",
        "full covariances",
        "found 3 components, with 20% of the points in the background",
        "variational Bayes [2]",
        "even density over the bounding box",
        "computed by kernels that Numba compiles",
        "covariance_floor = 0.5",
        "max_iter = 77",
    ):
        assert told in text
    version = made()["version"]
    assert f"[1] napari-sparse-gmm contributors. napari-sparse-gmm, version {version}." in text
    assert "precision" not in text
    assert "converged" not in text


def test_what_is_not_known_is_not_told() -> None:
    text = methods(model())
    assert "computed by" not in text
    assert "defaults" not in text
    assert "version" not in text


def test_priors_and_engines_are_cited() -> None:
    text = methods(model(provenance=made(prior="mml") | {"engine": "keops", "deconvolved": True}))
    assert "minimum message length [2]" in text
    assert "[2] Figueiredo" in text
    assert "the shapes without it [3]" in text
    assert "[3] Bovy" in text
    assert "KeOps [4]" in text
    assert "All other parameters had their defaults" in text


def test_a_fit_that_had_not_converged_is_told() -> None:
    part = replace(model().fitted[0], converged=False, repeats=6.8)
    text = methods(replace(model(), parts=(part,)))
    assert "It had not converged" in text
    assert "About 7 points count as one" in text


def test_groups_are_counted() -> None:
    assert "found 6 components in 2 groups (cell), each fitted by itself" in methods(grouped())
