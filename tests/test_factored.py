"""Small matrices, entry by entry, against NumPy's linear algebra."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from oracles import random_mixture

from napari_sparse_gmm.factored import Factored


@given(seed=st.integers(0, 10**6), d=st.integers(1, 5))
def test_it_is_the_algebra_of_matrices(seed, d):
    """Of 20 matrices at a time, an array for each entry."""
    matrices = random_mixture(20, d, seed=seed).covariances
    x = np.random.default_rng(seed).standard_normal((20, d))
    factored = Factored.of([[matrices[:, row, k] for k in range(row + 1)] for row in range(d)])
    inverse = np.linalg.inv(matrices)
    scale = np.abs(inverse).max() * 1e-6 + 1e-9
    np.testing.assert_allclose(factored.determinant, np.linalg.det(matrices), rtol=1e-6)
    y = factored.forward(x.T)
    form = np.einsum("nk,nkl,nl->n", x, inverse, x)
    np.testing.assert_allclose(factored.form(y), form, atol=scale)
    solved = np.einsum("nkl,nl->kn", inverse, x)
    np.testing.assert_allclose(factored.backward(y), solved, atol=scale)
    rows = factored.inverse()
    for row in range(d):
        for k in range(row + 1):
            np.testing.assert_allclose(rows[row][k], inverse[:, row, k], atol=scale)
    # Of any x in a box of half sides h, L^-1 x is within reach.
    h = np.abs(x).T
    assert (np.abs(y) <= np.array(factored.reach(list(h))) * (1 + 1e-12)).all()
