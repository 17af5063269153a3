"""How numbers and units stand in a sentence.

>>> count(1, "point"), count(1_200, "component"), volume_unit("nm", n_dimensions=2)
('1 point', '1,200 components', 'nm²')
"""

_POWERS = {1: "", 2: "²", 3: "³"}


def count(n: int, noun: str) -> str:
    """So many of them, in the singular or the plural."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def volume_unit(unit: str | None, n_dimensions: int) -> str:
    """The unit of areas, volumes ... where that of lengths is this, or has no name."""
    return f"{unit or 'unit'}{_POWERS.get(n_dimensions, f'^{n_dimensions}')}"
