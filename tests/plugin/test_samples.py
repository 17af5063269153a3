import numpy as np
import pytest
from napari.layers import Layer

from napari_sparse_gmm import samples
from napari_sparse_gmm.plugin import samples as plugin_samples


@pytest.mark.parametrize("name", ["spiral", "smlm_clusters", "nuclei_3d"])
def test_layer_shows_the_sample_in_its_unit(name: str) -> None:
    (layer_data,) = getattr(plugin_samples, name)()
    layer = Layer.create(*layer_data)
    sample = getattr(samples, name)()
    np.testing.assert_allclose(layer.data * layer.scale, sample.points)
    assert layer.name == name
    assert layer.axis_labels == sample.axis_labels
    assert {f"{unit:~P}" for unit in layer.units} == {sample.unit or "pixel"}
    assert set(layer.features) == set(sample.features)


def test_smlm_clusters_carry_truth_and_precision() -> None:
    ((_, keywords, _),) = plugin_samples.smlm_clusters()
    assert {"truth", "precision"} <= set(keywords["features"])


def test_nuclei_are_in_anisotropic_voxels() -> None:
    ((_, keywords, _),) = plugin_samples.nuclei_3d()
    z, y, x = keywords["scale"]
    assert z > y == x
