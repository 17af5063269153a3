"""A small symmetric matrix for each pair of a point and a component, without an array of matrices.

A = L P L^T with unit lower triangular L and positive pivots P (Golub & Van Loan, Matrix
computations, section 4.1), entry by entry. An entry is whatever adds, subtracts, multiplies and
divides: a NumPy array or a tensor that broadcasts, or the formula of a kernel. So the same few
lines are the arithmetic of the reference, of both engines, and of their bounds::

    >>> factored = Factored.of([[4.0], [2.0, 3.0]])
    >>> factored.pivots
    [4.0, 2.0]
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from operator import add, mul
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sparse_gmm.observations import FloatArray

# An array, a tensor or a formula: they have no type in common.
Entry = Any


@cache
def lower_triangle(d: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the lower triangle of a (d, d) matrix, row by row."""
    rows, columns = np.tril_indices(d)
    return rows, columns


@dataclass(frozen=True, eq=False)
class Factored:
    """L P L^T.

    Parameters
    ----------
    lower : lists of 0, 1, ... D - 1 entries
        The rows of L, left of the diagonal of ones.
    pivots : list of D entries
        The diagonal of P.
    """

    lower: list[list[Entry]]
    pivots: list[Entry]

    @classmethod
    def of(cls, rows: Sequence[Sequence[Entry]]) -> "Factored":
        """Factors of a positive definite matrix, given by the rows of its lower triangle."""
        lower: list[list[Entry]] = []
        pivots: list[Entry] = []
        for row, entries in enumerate(rows):
            scaled: list[Entry] = []  # l_rc p_c
            factors: list[Entry] = []
            for column in range(row):
                entry = entries[column]
                for k in range(column):
                    entry = entry - scaled[k] * lower[column][k]
                scaled.append(entry)
                factors.append(entry / pivots[column])
            pivot = entries[row]
            for k in range(row):
                pivot = pivot - scaled[k] * factors[k]
            lower.append(factors)
            pivots.append(pivot)
        return cls(lower, pivots)

    @classmethod
    def of_sum(cls, entries: Iterable[Entry], diagonal: Iterable[Entry]) -> "Factored":
        """Factors of a matrix plus a diagonal one, D entries.

        `entries` are those of the lower triangle of the former, row by row.
        """
        each = iter(entries)
        return cls.of(
            [
                [next(each) + added if k == row else next(each) for k in range(row + 1)]
                for row, added in enumerate(diagonal)
            ]
        )

    @property
    def determinant(self) -> Entry:
        """The product of the pivots."""
        return reduce(mul, self.pivots)

    def forward(self, x: Sequence[Entry]) -> list[Entry]:
        """L^-1 x."""
        y: list[Entry] = []
        for row, entry in enumerate(x):
            for k, factor in enumerate(self.lower[row]):
                entry = entry - factor * y[k]
            y.append(entry)
        return y

    def reach(self, h: Sequence[Entry]) -> list[Entry]:
        """How large the entries of L^-1 x can be where those of x are up to `h`; at most."""
        y: list[Entry] = []
        for row, entry in enumerate(h):
            for k, factor in enumerate(self.lower[row]):
                entry = entry + abs(factor) * y[k]
            y.append(entry)
        return y

    def form(self, y: Sequence[Entry]) -> Entry:
        """x^T A^-1 x, of y = L^-1 x."""
        squares = (entry * entry / pivot for entry, pivot in zip(y, self.pivots, strict=True))
        return reduce(add, squares)

    def backward(self, y: Sequence[Entry]) -> list[Entry]:
        """A^-1 x, of y = L^-1 x."""
        u: list[Entry] = [entry / pivot for entry, pivot in zip(y, self.pivots, strict=True)]
        for row in reversed(range(len(u))):
            for k in range(row):
                u[k] = u[k] - self.lower[row][k] * u[row]
        return u

    def inverse(self) -> list[list[Entry]]:
        """The rows of the lower triangle of A^-1.

        From the last row up, each from those below (Takahashi, Fagan & Chen, 1973).
        """
        d = len(self.pivots)
        rows: list[list[Entry]] = [[None] * (row + 1) for row in range(d)]
        for column in reversed(range(d)):
            below = range(column + 1, d)
            for row in reversed(below):
                terms = (self.lower[k][column] * rows[max(row, k)][min(row, k)] for k in below)
                rows[row][column] = -reduce(add, terms)
            diagonal = 1.0 / self.pivots[column]
            for k in below:
                diagonal = diagonal - self.lower[k][column] * rows[k][column]
            rows[column][column] = diagonal
        return rows


# Up to so many dimensions the arithmetic entry by entry is faster than a library call for each.
_SMALL = 5


def cholesky(matrices: FloatArray) -> FloatArray:
    """Lower triangular L with matrix = L L^T for each of K matrices (K, D, D).

    Raises
    ------
    numpy.linalg.LinAlgError
        Where one of them is not positive definite.
    """
    d = matrices.shape[-1]
    if d > _SMALL:
        return np.asarray(np.linalg.cholesky(matrices), dtype=np.float64)
    out = np.zeros(matrices.shape)
    for row in range(d):
        for column in range(row):
            entry = matrices[:, row, column].copy()
            for k in range(column):
                entry -= out[:, row, k] * out[:, column, k]
            out[:, row, column] = entry / out[:, column, column]
        pivot = matrices[:, row, row] - np.square(out[:, row, :row]).sum(1)
        if not (pivot > 0).all():
            raise np.linalg.LinAlgError("a matrix is not positive definite")
        out[:, row, row] = np.sqrt(pivot)
    return out


def inverse_of_lower(factors: FloatArray) -> FloatArray:
    """Inverses of K lower triangular matrices (K, D, D)."""
    d = factors.shape[-1]
    if d > _SMALL:
        return np.asarray(np.linalg.inv(factors), dtype=np.float64)
    out = np.zeros(factors.shape)
    for row in range(d):
        out[:, row, row] = 1.0 / factors[:, row, row]
        for column in range(row):
            entry = factors[:, row, column] * out[:, column, column]
            for k in range(column + 1, row):
                entry += factors[:, row, k] * out[:, k, column]
            out[:, row, column] = -entry * out[:, row, row]
    return out


def log_determinants(matrices: FloatArray) -> FloatArray:
    """Of K positive definite matrices (K, D, D), (K,)."""
    diagonals = np.diagonal(cholesky(matrices), axis1=1, axis2=2)
    return np.asarray(2.0 * np.log(diagonals).sum(1))


def traces_of_inverses(matrices: FloatArray) -> FloatArray:
    """Of K positive definite matrices (K, D, D), (K,)."""
    return np.asarray(np.square(inverse_of_lower(cholesky(matrices))).sum((1, 2)))


def above(matrices: FloatArray, least: FloatArray | float) -> NDArray[np.bool_]:
    """Which of K symmetric matrices (K, D, D) surely have no eigenvalue below `least`, (K,).

    By the pivots of what is left when that is taken off the diagonal.
    """
    d = matrices.shape[-1]
    entries = [[matrices[:, row, k] for k in range(row + 1)] for row in range(d)]
    for row in range(d):
        entries[row][row] = entries[row][row] - least
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        pivots = Factored.of(entries).pivots
    return np.asarray(np.logical_and.reduce([pivot > 0 for pivot in pivots]))
