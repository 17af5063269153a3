"""Conditions compared: how much the numbers of files or cells differ between them, and how surely.

>>> rng = np.random.default_rng(0)
>>> condition = np.repeat(["control", "drug"], 40)  # four dishes of ten cells each
>>> dish = np.repeat(np.arange(8), 10)
>>> radius = np.repeat(rng.normal(20, 1, 8), 10) + rng.normal(0, 2, 80) + 5 * (condition == "drug")
>>> table = pd.DataFrame({"dish": dish, "condition": condition, "radius [nm]": radius})
>>> found = compare(table, "condition", replicate="dish")
>>> effect = found.effects.loc[0]
>>> bool(effect["low"] < 5 < effect["high"]), round(float(effect["p"]), 3)
(True, 0.029)
>>> found.notes
('Of 4 and 4 replicates no p value is below 0.0286.',)

Cells of a dish are alike, so that their number says little: what counts are the replicates, each
with the mean of its cells (Lazic, Clarke-Williams, Munafò 2018, PLOS Biology 16: e2005282).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.wording import count, figures

FloatArray = NDArray[np.float64]

# The values of the cells of each replicate, (C,) each.
Replicates = tuple[FloatArray, ...]

LEVEL = 0.95

# Odd ones out: so the limits of an interval are order statistics (Davison and Hinkley 1997, 2.4).
N_RESAMPLES = 9_999

# So many permutations are all done; of more, so many that are drawn.
_MOST_PERMUTATIONS = 19_999

# Of fewer replicates a studentized interval has no end.
_LEAST = 3

# The standard error of what is drawn is, at least, this share of that of the replicates. Where one
# replicate lies far off, those drawn without it have next to none, and the interval would end at
# values that cannot be. With 0.5 intervals of three replicates hold the truth too rarely, with 0.3
# they are wide (tools/interval_coverage.py has how often they do).
_LEAST_ERROR = 0.4

# Numbers of the fit, which say nothing of the points.
_OF_THE_FIT = ("cost", "converged")

# Of so many values a number can be a condition, as a dose.
_FEW = 10

# Which files a sentence names, at most.
_NAMED = 5

# Drawn at once: numbers that take 80 MB.
_AT_ONCE = 10_000_000


@dataclass(frozen=True, eq=False)
class Comparison:
    """What came of `compare`.

    Parameters
    ----------
    effects : DataFrame
        A row for each column and each condition but the reference::

            column            what is compared, with its unit
            condition         which is compared
            reference         with which
            replicates        of the condition
            replicates of the reference
            mean              of the condition: that of the means of its replicates
            mean of the reference
            difference        of the two means, in the unit of the column
            low, high         its interval, of 95% confidence
            g                 Hedges' g: the difference in standard deviations of replicates
            g low, g high     its interval
            p                 of the permutation test
            p corrected       for all rows together (Benjamini and Hochberg)

        NaN where too few replicates tell nothing.
    notes : tuple of str
        Sentences on what was left out, and what cannot be known.
    conditions : tuple of str
        The reference first.
    values : mapping
        For each column, for each condition, the values of the cells of each replicate.
    replicates : mapping
        Of the same order, the names of the replicates.
    """

    effects: pd.DataFrame
    notes: tuple[str, ...]
    conditions: tuple[str, ...]
    values: Mapping[str, tuple[Replicates, ...]]
    replicates: Mapping[str, tuple[tuple[str, ...], ...]]


def compare(
    table: pd.DataFrame,
    condition: str,
    *,
    replicate: str = "file",
    reference: str | None = None,
    columns: Sequence[str] | None = None,
    n_resamples: int = N_RESAMPLES,
    random_state: int = 0,
) -> Comparison:
    """Compare conditions with a reference, in each column of numbers.

    Parameters
    ----------
    table : DataFrame
        A row for each file, or each cell in it, as `many_files.summary` has.
    condition : str
        Column of the conditions.
    replicate : str
        Column of the replicates: what was repeated independently, as dishes, animals, days. Rows of
        one replicate are cells. The same name in two conditions means two replicates.
    reference : str, optional
        The condition that others are compared with; by default the first one.
    columns : sequence of str, optional
        What to compare; by default all numbers.
    n_resamples : int
        For the bootstrap.
    random_state : int

    Raises
    ------
    InputError
        Where there are no such columns or conditions, or nothing to compare.
    """
    notes: list[str] = []
    rows = _usable(table, condition, replicate, notes)
    labels = rows[condition].map(_label)
    conditions = list(dict.fromkeys(labels))
    if reference is not None and reference not in conditions:
        raise InputError(f"No row has the condition {reference!r}, but {_listed(conditions)}.")
    if len(conditions) < 2:
        raise InputError(
            f"Column {condition!r} has one condition, {conditions[0]!r}: there is nothing to "
            "compare it with."
        )
    reference = conditions[0] if reference is None else reference
    conditions.sort(key=lambda one: one != reference)
    groups = [rows[labels == one] for one in conditions]
    names = [set(group[replicate].map(_label)) for group in groups]
    if shared := set.union(*names).intersection(*names):
        notes.append(
            f"Replicates of the same name in all conditions, as {min(shared)!r}, are taken for "
            "different ones: pairs are not compared."
        )
    values: dict[str, tuple[Replicates, ...]] = {}
    replicates: dict[str, tuple[tuple[str, ...], ...]] = {}
    effects: list[dict[str, Any]] = []
    for column in _numeric(rows, columns, {condition, replicate}, notes):
        found = [_replicates(group, column, replicate) for group in groups]
        replicates[column] = tuple(tuple(each) for each in found)
        values[column] = tuple(tuple(each.values()) for each in found)
        known, *others = values[column]
        for name, other in zip(conditions[1:], others, strict=True):
            told = {"column": column, "condition": name, "reference": reference}
            effects.append(told | _effect(known, other, n_resamples, random_state))
    if not effects:
        raise InputError("No column has numbers that differ between the rows.")
    table = pd.DataFrame(effects)
    table["p corrected"] = _corrected(table["p"].to_numpy())
    notes += _limits(table)
    return Comparison(table, tuple(notes), tuple(conditions), values, replicates)


def hedges_g(one: FloatArray, other: FloatArray) -> tuple[float, float, float]:
    """How many standard deviations the mean of the other is higher, and its interval.

    Hedges (1981), Journal of Educational Statistics 6: 107, eq. 6e with the exact factor. The
    interval is that of the noncentral t distribution (Hedges and Olkin 1985, ch. 5.B; Cumming and
    Finch 2001): exact for normal replicates of the same variance. NaN where nothing varies.
    """
    from scipy.special import gammaln, nctdtrinc

    n, m = len(one), len(other)
    degrees = n + m - 2
    if degrees < 1:
        return math.nan, math.nan, math.nan
    squares = sum(float(((each - each.mean()) ** 2).sum()) for each in (one, other))
    if not squares > 0:
        return math.nan, math.nan, math.nan
    d = float(other.mean() - one.mean()) / math.sqrt(squares / degrees)
    # Of few replicates d is too large on average; not defined for one degree of freedom.
    factor = math.nan
    if degrees > 1:
        factor = math.exp(gammaln(degrees / 2) - gammaln((degrees - 1) / 2)) / math.sqrt(
            degrees / 2
        )
    scale = math.sqrt(1 / n + 1 / m)
    tails = (1 + LEVEL) / 2, (1 - LEVEL) / 2
    low, high = (scale * float(nctdtrinc(degrees, tail, d / scale)) for tail in tails)
    return factor * d, low, high


def interval(
    one: Replicates, other: Replicates, n_resamples: int = N_RESAMPLES, random_state: int = 0
) -> tuple[float, float]:
    """Of the difference of the means of replicates (other less one), by a studentized bootstrap.

    Replicates are drawn with replacement, and cells within each of them (Saravanan, Berman, Sober
    2020, arXiv:2007.07797; Davison and Hinkley 1997, ch. 3.8). Percentiles of what is drawn are too
    near each other where there are few replicates: of three, without cells, they hold the truth in
    four of five cases. So each difference is divided by its own standard error (Davison and
    Hinkley, eq. 2.6 and 5.6), which is taken as 0.4 of that of the replicates where it is less, and
    these are the percentiles taken.

    Needs three replicates each; NaN where there are fewer, or where no replicate of a condition
    differs from another.
    """
    means = [np.array([cells.mean() for cells in each]) for each in (one, other)]
    if min(map(len, means)) < _LEAST:
        return math.nan, math.nan
    rng = np.random.default_rng(random_state)
    difference, error = _studentized(*means)
    if not error > 0:
        return math.nan, math.nan
    differences, errors = _studentized(*(_drawn(each, n_resamples, rng) for each in (one, other)))
    t = np.sort((differences - difference) / np.maximum(errors, _LEAST_ERROR * error))  # (B,)
    k = round((1 - LEVEL) / 2 * (n_resamples + 1))
    return float(difference - t[-k] * error), float(difference - t[k - 1] * error)


def p_value(one: FloatArray, other: FloatArray, random_state: int = 0) -> float:
    """How probable a difference of means as large as this is where the condition does nothing.

    Replicates change places between the conditions: in all ways where these are 20,000 at most,
    else in so many that are drawn. Two-sided: twice the smaller of both.
    """
    from scipy.stats import permutation_test

    def difference(x: FloatArray, y: FloatArray, axis: int) -> FloatArray:
        return np.asarray(y.mean(axis=axis) - x.mean(axis=axis))

    found = permutation_test(
        (one, other),
        difference,
        vectorized=True,
        n_resamples=_MOST_PERMUTATIONS,
        batch=1_000,
        random_state=random_state,
    )
    return float(found.pvalue)


def smallest_p(n: int, m: int) -> float:
    """What `p_value` is at least, of n and m replicates.

    >>> smallest_p(3, 3), round(smallest_p(4, 4), 3)
    (0.1, 0.029)
    """
    return min(1.0, 2.0 / min(math.comb(n + m, n), _MOST_PERMUTATIONS + 1))


def groupings(table: pd.DataFrame) -> list[str]:
    """The columns that can be conditions or replicates: those of words, and of few numbers.

    >>> groupings(pd.DataFrame({"radius": [1.5, 1.2, 1.7], "drug": ["a", "b", "b"]}))
    ['drug']
    """
    words, numbers = list[str](), list[str]()
    for name in table:
        n_values = table[name].nunique()
        if n_values < 2 or name in ("problem", *_OF_THE_FIT):
            continue
        if not pd.api.types.is_numeric_dtype(table[name]):
            words.append(str(name))
        elif n_values <= min(_FEW, table[name].count() / 2):
            numbers.append(str(name))
    return words + numbers


def _usable(table: pd.DataFrame, condition: str, replicate: str, notes: list[str]) -> pd.DataFrame:
    """The rows that have no problem, but a condition and a replicate."""
    for name in (condition, replicate):
        if name not in table:
            offered = groupings(table) or list(table)
            raise InputError(f"There is no column {name!r}, but {', '.join(map(repr, offered))}.")
    rows = table.reset_index(drop=True)
    if "problem" in rows:
        wrong = rows["problem"].map(lambda text: isinstance(text, str) and text != "")
        if wrong.any():
            some = [str(name) for name in rows.get("file", rows.index.to_series())[wrong]]
            notes.append(f"{count(len(some), 'row')} with a problem left out: {_listed(some)}.")
        rows = rows[~wrong]
    for name, what in ((condition, "condition"), (replicate, "replicate")):
        unknown = rows[name].isna() | (rows[name].astype(str).str.strip() == "")
        if unknown.any():
            notes.append(f"{count(int(unknown.sum()), 'row')} without a {what} left out.")
        rows = rows[~unknown]
    if rows.empty:
        raise InputError("No row is left to compare.")
    return rows


def _numeric(
    rows: pd.DataFrame, columns: Sequence[str] | None, taken: set[str], notes: list[str]
) -> list[str]:
    """The columns to compare: those that are asked for, or all numbers that are not all equal."""
    if columns is not None:
        for name in columns:
            if name not in rows:
                raise InputError(f"There is no column {name!r}, but {_listed(list(rows))}.")
            if not pd.api.types.is_numeric_dtype(rows[name]):
                raise InputError(f"Column {name!r} has words in it: choose one of numbers.")
    chosen = []
    for name in rows.select_dtypes("number") if columns is None else columns:
        if name in taken or (columns is None and name in _OF_THE_FIT):
            continue
        values = rows[name].to_numpy(dtype=np.float64)
        known = values[np.isfinite(values)]
        if len(known) == 0 or np.ptp(known) == 0:
            what = "no number" if len(known) == 0 else f"{known[0]:g} in all rows"
            notes.append(f"{name} is not compared: it has {what}.")
            continue
        if missing := len(values) - len(known):
            notes.append(f"{name} has no value in {count(missing, 'row')}.")
        chosen.append(name)
    return chosen


def _replicates(group: pd.DataFrame, column: str, replicate: str) -> dict[str, FloatArray]:
    """The known values of the rows of each replicate, by its name; those without any are left
    out.
    """
    values = group[column].astype(np.float64)
    known = np.isfinite(values)
    parts = values[known].groupby(group.loc[known, replicate].map(_label), sort=False)
    return {str(name): part.to_numpy() for name, part in parts}


def _effect(
    known: Replicates, other: Replicates, n_resamples: int, random_state: int
) -> dict[str, Any]:
    """A row of the table of effects, but for its names."""
    one, two = (np.array([cells.mean() for cells in each]) for each in (known, other))
    told = {
        "replicates": len(two),
        "replicates of the reference": len(one),
        "mean": float(two.mean()) if len(two) else math.nan,
        "mean of the reference": float(one.mean()) if len(one) else math.nan,
    }
    limits = hedges = None
    if len(one) and len(two):
        limits, hedges = interval(known, other, n_resamples, random_state), hedges_g(one, two)
    low, high = limits or (math.nan, math.nan)
    g, g_low, g_high = hedges or (math.nan,) * 3
    enough = min(len(one), len(two)) > 1
    return told | {
        "difference": told["mean"] - told["mean of the reference"],
        "low": low,
        "high": high,
        "g": g,
        "g low": g_low,
        "g high": g_high,
        "p": p_value(one, two, random_state) if enough else math.nan,
    }


def _limits(effects: pd.DataFrame) -> list[str]:
    """What the numbers of replicates do not allow to say."""
    notes = []
    pairs = effects[["replicates of the reference", "replicates"]].drop_duplicates()
    for n, m in pairs.itertuples(index=False):
        least = min(n, m)
        if least < 2:
            notes.append(
                f"Of {n} and {m} replicates there is neither a p value nor an interval: p needs 2 "
                f"replicates of each condition, an interval {_LEAST}."
            )
            continue
        if least < _LEAST:
            notes.append(
                f"Of {n} and {m} replicates there is no interval of the difference: it needs "
                f"{_LEAST} of each condition."
            )
        if (least_p := smallest_p(n, m)) > 0.01:
            notes.append(f"Of {n} and {m} replicates no p value is below {figures(least_p)}.")
    enough = effects[["replicates of the reference", "replicates"]].min(axis=1) >= _LEAST
    if (without := effects.loc[enough & effects["low"].isna(), "column"].unique().tolist()) != []:
        notes.append(
            f"No interval of {_listed(without)}: all replicates of a condition have the very same "
            "value."
        )
    return notes


def _drawn(replicates: Replicates, n: int, rng: np.random.Generator) -> FloatArray:
    """Means of replicates that are drawn, each of cells that are drawn within it, (n, R)."""
    which = rng.integers(len(replicates), size=(n, len(replicates)))
    means = np.empty(which.shape)
    for index, cells in enumerate(replicates):
        at = which == index
        means[at] = _means(cells, int(np.count_nonzero(at)), rng)
    return means


def _means(cells: FloatArray, n: int, rng: np.random.Generator) -> FloatArray:
    """Of so many draws of as many cells as there are, (n,)."""
    if len(cells) == 1:
        return np.full(n, cells[0])
    size = max(1, _AT_ONCE // len(cells))
    parts = [min(size, n - start) for start in range(0, n, size)]
    return np.concatenate(
        [cells[rng.integers(len(cells), size=(part, len(cells)))].mean(1) for part in parts]
        or [np.empty(0)]
    )


def _studentized(one: FloatArray, other: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The difference of the means along the last axis, and its standard error (Welch 1938)."""
    difference = other.mean(-1) - one.mean(-1)
    variance = sum(each.var(-1, ddof=1) / each.shape[-1] for each in (one, other))
    return difference, np.sqrt(variance)


def _corrected(p: FloatArray) -> FloatArray:
    """Benjamini and Hochberg (1995), among the p values that there are."""
    from scipy.stats import false_discovery_control

    corrected, known = np.full(len(p), np.nan), np.isfinite(p)
    if known.any():
        corrected[known] = false_discovery_control(p[known], method="bh")
    return corrected


def _label(value: Any) -> str:
    """A condition or a replicate as a word: 3 for 3.0."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def _listed(names: Sequence[Any]) -> str:
    some = ", ".join(map(repr, names[:_NAMED]))
    return some if len(names) <= _NAMED else f"{some} and {len(names) - _NAMED:,} more"
