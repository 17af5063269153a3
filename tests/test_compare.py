"""The comparison of conditions, against closed forms and against simulation."""

import math
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from scipy import stats

from napari_sparse_gmm.compare import compare, hedges_g, interval, p_value, smallest_p
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.comparisons import column_figure

CONDITIONS = ("control", "drug")


def cells(
    means: dict[str, list[float]], n_cells: int = 1, spread: float = 0.0, seed: int = 0
) -> pd.DataFrame:
    """A row for each cell of each dish of each condition."""
    rng = np.random.default_rng(seed)
    rows = [
        {"file": f"{condition} {dish}", "condition": condition, "size [nm]": value}
        for condition, dishes in means.items()
        for dish, mean in enumerate(dishes)
        for value in mean + spread * rng.standard_normal(n_cells)
    ]
    return pd.DataFrame(rows)


def test_means_are_those_of_replicates_not_of_cells() -> None:
    """A dish of many cells counts as much as one of few."""
    table = pd.concat(
        [cells({"control": [1.0]}, 99), cells({"control": [1.0, 5.0], "drug": [7.0, 8.0]})[1:]]
    )
    (effect,) = compare(table, "condition").effects.to_dict("records")
    assert effect["mean of the reference"] == 3.0
    assert effect["mean"] == 7.5
    assert effect["difference"] == 4.5
    assert (effect["replicates of the reference"], effect["replicates"]) == (2, 2)


def test_hedges_g_in_closed_form() -> None:
    """Of 2 and 4 against 5 and 9: d = 4 / sqrt((2 + 8) / 2), and the factor of two degrees of
    freedom is the square root of 1 / pi.
    """
    g, _, _ = hedges_g(np.array([2.0, 4.0]), np.array([5.0, 9.0]))
    assert g == pytest.approx(4.0 / math.sqrt(5.0) / math.sqrt(math.pi))
    # Of many replicates the factor is that of Hedges' approximation, 1 - 3 / (4 m - 1).
    one, other = np.random.default_rng(0).normal(size=(2, 20))
    d = (other.mean() - one.mean()) / math.sqrt((one.var(ddof=1) + other.var(ddof=1)) / 2)
    assert hedges_g(one, other)[0] == pytest.approx(d * (1 - 3 / (4 * 38 - 1)), rel=1e-4)


def test_interval_of_g_has_the_noncentral_tails() -> None:
    one, other = np.random.default_rng(1).normal(size=(2, 6)) + np.array([[0.0], [2.0]])
    _, low, high = hedges_g(one, other)
    t = stats.ttest_ind(other, one).statistic
    scale = math.sqrt(2 / 6)
    assert stats.nct.cdf(t, 10, low / scale) == pytest.approx(0.975)
    assert stats.nct.cdf(t, 10, high / scale) == pytest.approx(0.025, abs=1e-6)


def test_interval_of_many_replicates_is_that_of_welch() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(0, 1, 200), rng.normal(1, 2, 150)
    welch = stats.ttest_ind(other, one, equal_var=False).confidence_interval()
    found = interval(tuple(one[:, None]), tuple(other[:, None]))
    np.testing.assert_allclose(found, welch, atol=0.03)


@pytest.mark.parametrize("n", [3, 4])
def test_p_value_counts_all_divisions(n: int) -> None:
    rng = np.random.default_rng(n)
    one, other = rng.normal(size=n), rng.normal(size=n) + 1.0
    together = np.concatenate([one, other])
    differences = np.array(
        [
            together[list(chosen)].mean() - np.delete(together, chosen).mean()
            for chosen in combinations(range(2 * n), n)
        ]
    )
    observed = other.mean() - one.mean()
    tails = [np.mean(sign * differences >= sign * observed - 1e-12) for sign in (1, -1)]
    assert p_value(one, other) == pytest.approx(min(1.0, 2 * min(tails)))


@pytest.mark.parametrize(("n", "m"), [(3, 3), (2, 5), (4, 6)])
def test_smallest_p_is_reached(n: int, m: int) -> None:
    far = p_value(np.arange(n, dtype=float), 100.0 + np.arange(m))
    assert far == pytest.approx(smallest_p(n, m))


def test_p_values_of_nothing_are_uniform() -> None:
    """Cells of a dish are alike: taken for replicates they would be sure of what is not there."""
    rng = np.random.default_rng(0)
    p, p_of_cells = [], []
    for seed in range(400):
        means = dict(zip(CONDITIONS, rng.normal(size=(2, 5)).tolist(), strict=True))
        table = cells(means, n_cells=10, spread=0.5, seed=seed)
        means_of = table.groupby(["condition", "file"], sort=False)["size [nm]"].mean()
        p.append(p_value(*(means_of[name].to_numpy() for name in CONDITIONS)))
        groups = [table.loc[table["condition"] == name, "size [nm]"] for name in CONDITIONS]
        p_of_cells.append(stats.ttest_ind(*groups).pvalue)
    # They are multiples of 2/252, and so many of them come by chance.
    ks = stats.kstest(np.array(p) - rng.uniform(0, 2 / 252, len(p)), "uniform")
    assert ks.pvalue > 0.01
    assert np.mean(np.array(p_of_cells) < 0.05) > 0.4


@pytest.mark.parametrize("n_cells", [1, 10])
@pytest.mark.parametrize("n", [3, 6])
def test_intervals_hold_the_truth(n: int, n_cells: int) -> None:
    rng = np.random.default_rng(n)
    held = held_g = 0
    n_tables = 300
    for seed in range(n_tables):
        dishes = rng.normal(size=(2, n)) + np.array([[0.0], [1.5]])
        drawn = dishes[..., None] + 2.0 * rng.standard_normal((2, n, n_cells))
        one, other = (tuple(each) for each in drawn)
        low, high = interval(one, other, n_resamples=999, random_state=seed)
        held += low < 1.5 < high
        _, low, high = hedges_g(*drawn.mean(2))
        held_g += low < 1.5 / math.sqrt(1 + 4 / n_cells) < high
    # 95% of 300, less or more than three standard errors; too wide is no lie.
    assert 0.91 * n_tables < held
    assert 0.91 * n_tables < held_g < 0.99 * n_tables


def test_each_with_the_reference() -> None:
    table = cells({"a": [1, 2, 3, 4], "b": [5, 6, 7, 8], "c": [9, 11, 12, 13]})
    found = compare(table, "condition", reference="b")
    assert found.conditions == ("b", "a", "c")
    assert found.effects["condition"].tolist() == ["a", "c"]
    assert found.effects["difference"].tolist() == [-4.0, 4.75]
    # Both are the smallest there can be, so of two tests at once no larger one.
    assert found.effects["p corrected"].tolist() == pytest.approx([2 / 70, 2 / 70])
    expected = stats.false_discovery_control(found.effects["p"])
    np.testing.assert_allclose(found.effects["p corrected"], expected)


def test_cells_and_dishes_may_come_in_any_order() -> None:
    table = cells({"a": [1, 2, 3], "b": [3, 5, 6]}, 5, 1.0)
    mixed = table.sample(frac=1.0, random_state=0)
    one, other = (compare(t, "condition", reference="a").effects for t in (table, mixed))
    exact = ["difference", "g", "g low", "g high", "p"]
    pd.testing.assert_frame_equal(one[exact], other[exact])


def test_what_is_left_out_is_said() -> None:
    table = cells({"a": [1, 2, 3], "b": [3, 5, 6], "": [9]})
    table["same"], table["none"], table["cost"] = 1.0, np.nan, np.arange(7.0)
    table["problem"] = ["", None, "It is broken.", "", "", "", ""]
    table["holes"] = [1, 2, 3, np.nan, 5, 6, 7]
    found = compare(table, "condition")
    assert set(found.effects["column"]) == {"size [nm]", "holes"}
    assert found.notes == (
        "1 row with a problem left out: 'a 2'.",
        "1 row without a condition left out.",
        "same is not compared: it has 1 in all rows.",
        "none is not compared: it has no number.",
        "holes has no value in 1 row.",
        "Of 2 and 3 replicates there is no interval of the difference: it needs 3 of each "
        "condition.",
        "Of 2 and 3 replicates no p value is below 0.2.",
        "Of 2 and 2 replicates there is no interval of the difference: it needs 3 of each "
        "condition.",
        "Of 2 and 2 replicates no p value is below 0.333.",
    )


def test_one_replicate_says_nothing_of_chance() -> None:
    found = compare(cells({"a": [1, 2, 3], "b": [5]}), "condition")
    (effect,) = found.effects.to_dict("records")
    assert effect["difference"] == 3.0
    assert np.isnan([effect[name] for name in ("low", "high", "p", "p corrected")]).all()
    assert found.notes[0] == (
        "Of 3 and 1 replicates there is neither a p value nor an interval: p needs 2 replicates of "
        "each condition, an interval 3."
    )


def test_equal_values_have_no_interval() -> None:
    found = compare(cells({"a": [0, 0, 0, 0], "b": [1, 1, 1, 1]}), "condition")
    assert found.effects.loc[0, "difference"] == 1.0
    assert np.isnan(found.effects.loc[0, "low"])
    assert "No interval of 'size [nm]'" in found.notes[-1]


def test_one_replicate_far_off_does_not_take_an_interval_to_what_cannot_be() -> None:
    """Lengths about 25, and about 65 but for one of 26: resamples without that one hardly vary, so
    that divided by their own standard error the mean would end below -40.
    """
    one = np.array([24.7, 24.9, 24.5, 26.0, 24.1])
    other = np.array([67.9, 67.5, 64.2, 60.5, 26.3])
    low, high = interval(tuple(one[:, None]), tuple(other[:, None]))
    welch = stats.ttest_ind(other, one, equal_var=False).confidence_interval()
    assert 0 < low < other.mean() - one.mean() < high
    assert high - low < 1.25 * (welch.high - welch.low)
    # What lies far off lies below: so does the longer part of the interval.
    assert (low + high) / 2 < other.mean() - one.mean()


def test_the_same_dish_in_both_conditions() -> None:
    table = cells({"a": [1, 2, 3], "b": [3, 5, 6]})
    table["day"] = [1, 2, 3, 1, 2, 3]
    found = compare(table, "condition", replicate="day")
    assert found.effects.loc[0, "replicates"] == 3
    assert found.notes[0].startswith("Replicates of the same name in all conditions, as '1'")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"condition": "drug"}, "There is no column 'drug', but 'file', 'condition'"),
        ({"replicate": "dish"}, "There is no column 'dish'"),
        ({"reference": "mock"}, "No row has the condition 'mock', but 'a', 'b'"),
        ({"columns": ["area"]}, "There is no column 'area'"),
        ({"columns": ["file"]}, "Column 'file' has words in it"),
    ],
    ids=["condition", "replicate", "reference", "column", "words"],
)
def test_mistakes_are_a_sentence(arguments: dict[str, str], sentence: str) -> None:
    table = cells({"a": [1, 2, 3], "b": [3, 5, 6]})
    with pytest.raises(InputError, match=sentence):
        compare(table, **{"condition": "condition", **arguments})


def test_one_condition_or_no_numbers() -> None:
    with pytest.raises(InputError, match="has one condition, 'a'"):
        compare(cells({"a": [1, 2, 3]}), "condition")
    with pytest.raises(InputError, match="No column has numbers that differ"):
        compare(cells({"a": [1, 1], "b": [1, 1]}), "condition")
    with pytest.raises(InputError, match="No row is left"):
        compare(cells({"a": [1, 1], "b": [1, 1]}).assign(problem="broken"), "condition")


def of_means(figure: Figure) -> list[set[tuple[float, ...]]]:
    """The colours of the replicates of each condition in the picture of a column."""
    drawn = [each for each in figure.axes[0].collections if isinstance(each, PathCollection)]
    return [{tuple(map(float, one)) for one in each.get_facecolors()} for each in drawn]


def test_colours_pair_replicates_of_the_same_name_only() -> None:
    """The same colour in two conditions looks like the same dish."""
    table = cells({"a": [1, 2, 3], "b": [3, 5, 6]})
    one, other = of_means(column_figure(compare(table, "condition"), "size [nm]"))
    assert len(one) == len(other) == 3
    assert not one & other
    table["day"] = [1, 2, 3, 2, 3, 4]
    one, other = of_means(column_figure(compare(table, "condition", replicate="day"), "size [nm]"))
    assert len(one) == len(other) == 3
    assert len(one & other) == 2
