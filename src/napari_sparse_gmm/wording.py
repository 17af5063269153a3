"""How numbers and units stand in a sentence.

>>> count(1, "point"), count(1_200, "component"), volume_unit("nm", n_dimensions=2)
('1 point', '1,200 components', 'nm²')
>>> density(20, 4e6, "nm", n_dimensions=2)
'5 per µm²'
"""

from collections.abc import Sequence

# Nobody needs to know a Bayes factor of more digits.
_BEYOND_DOUBT = 100

_POWERS = {1: "", 2: "²", 3: "³"}


def count(n: int, noun: str) -> str:
    """So many of them, in the singular or the plural."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def volume_unit(unit: str | None, n_dimensions: int) -> str:
    """The unit of areas, volumes ... where that of lengths is this, or has no name."""
    return f"{unit or 'unit'}{_POWERS.get(n_dimensions, f'^{n_dimensions}')}"


def odds(log10: float) -> str:
    """A Bayes factor in words, from its decimal logarithm.

    >>> odds(1.3), odds(42.4), odds(-1.0), odds(6000.0)
    ('20 to 1', '10^42 to 1', '1 to 10', 'more than 10^100 to 1')
    """
    size = abs(log10)
    large = f"10^{size:.0f}" if size >= 4 else f"{float(f'{10**size:.2g}'):,g}"
    if size > _BEYOND_DOUBT:
        large = f"more than 10^{_BEYOND_DOUBT}"
    return f"{large} to 1" if log10 >= 0 else f"1 to {large}"


def repeated(repeats: float, molecules: Sequence[float] | None = None) -> str:
    """How many points are one observation, in a sentence; "" where each is one.

    And of how many molecules they are, and between which numbers, where that is known.

    >>> repeated(6.8)
    'About 7 points count as one: they repeat, as localizations of molecules that blink do.'
    """
    if repeats == 1.0:
        return ""
    number = f"{repeats:.2g}" if repeats < 3 else f"{repeats:,.0f}"
    of_molecules = ""
    if molecules is not None:
        n, low, high = (float(f"{each:.2g}") for each in molecules)
        of_molecules = f" They are of some {n:,.0f} molecules ({low:,.0f} to {high:,.0f})."
    return (
        f"About {number} points count as one: they repeat, as localizations of molecules that "
        f"blink do.{of_molecules}"
    )


# Less of a cluster than this in the field is worth a word.
_WHOLE = 0.95


def cut_by_edge(shares: Sequence[float], n_beyond: float) -> str:
    """How many clusters the edge of the field cuts, by the share of each in it, in a sentence; ""
    where it cuts none.

    >>> cut_by_edge([1.0, 0.6, 0.7], 31.2)
    '2 clusters cut by the edge of the field: told as a whole, with some 31 points beyond it.'
    """
    n_cut = sum(share < _WHOLE for share in shares)
    if not n_cut:
        return ""
    return (
        f"{count(n_cut, 'cluster')} cut by the edge of the field: told as a whole, with "
        f"some {n_beyond:,.0f} points beyond it."
    )


# From a unit of lengths to the next one, a thousand times as long.
_LONGER = {"nm": "µm", "µm": "mm"}


def density(n: float, volume: float, unit: str | None, n_dimensions: int) -> str:
    """So many in an area or a volume, per a unit in which that is no tiny number."""
    per = n / volume
    while per < 0.01 and unit in _LONGER:
        per, unit = per * 1000.0**n_dimensions, _LONGER[unit]
    return f"{figures(per)} per {volume_unit(unit, n_dimensions)}"


def figures(number: float) -> str:
    """The first three figures of a number, with zeros behind them.

    >>> figures(1234.5), figures(0.012345)
    ('1,230', '0.0123')
    """
    return f"{float(f'{number:.3g}'):,g}"
