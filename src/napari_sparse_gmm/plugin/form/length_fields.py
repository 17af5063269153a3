"""Fields for lengths, in the unit of the layer whose points are modelled.

With a layer of another unit, or another width::

    lengths = LengthFields(field(PIXEL_SIZE), field(TYPICAL_SIZE))
    lengths.follow(layer.units[-1], width=50.0, n_dimensions=2)
"""

import math
from decimal import Decimal
from typing import Any

from magicgui.widgets import FloatSpinBox

from napari_sparse_gmm.plugin.qt.spin_steps import Steps

# A field has digits down to this share of the width of the points, but not below what any
# length is measured to.
_FINEST, _MOST_DECIMALS = 1e-5, 15

# The first step up from "automatic", as a share of that width. In a volume the same share would
# make a pixel size whose pixels are too many.
_FIRST_STEP = {2: 1e-3, 3: 1e-2}

# Digits of a number that came to another unit; those behind are round-off.
_DIGITS = 12


class LengthFields:
    """Fields that show their unit, and keep their length when it becomes another one.

    Their lowest number, 0, is shown as "automatic".
    """

    def __init__(self, *fields: FloatSpinBox) -> None:
        self._fields = fields
        self._steps = [Steps(field.native, 1.0) for field in fields]
        self._unit: Any = None

    def follow(self, unit: Any, width: float, n_dimensions: int) -> None:
        """Show lengths in another unit, with digits and steps for points of this width.

        Without telling it: the lengths stay what they are. A length in a unit that does not go
        together with this one, as pixels and nanometres, is "automatic" again.

        Parameters
        ----------
        unit : pint.Unit
        width : float
            In that unit; taken as 1 where it is not finite or 0, as of a single point.
        n_dimensions : int
            How many axes are modelled.
        """
        factor = 1.0 if self._unit is None else conversion(self._unit, unit)
        self._unit = unit
        if not (math.isfinite(width) and width > 0):
            width = 1.0
        for field, steps in zip(self._fields, self._steps, strict=True):
            length = float(f"{field.value * factor:.{_DIGITS}g}")
            finest = min(_decimals(f"{_FINEST * width:.0e}"), _MOST_DECIMALS)
            with field.changed.blocked():
                field.native.setDecimals(max(finest, _decimals(str(length))))
                field.max = max(field.max, length)
                field.value = length
            field.native.setSuffix(f" {unit:~P}".rstrip())
            steps.begin_with(float(f"{_FIRST_STEP[n_dimensions] * width:.0e}"))


def conversion(old: Any, new: Any) -> float:
    """What a length in one pint unit is multiplied with for the other; 0 where none will do."""
    return float((1.0 * old).to(new).magnitude) if old.is_compatible_with(new) else 0.0


def _decimals(number: str) -> int:
    """How many digits behind the point a number has: 4 for "5e-4"."""
    exponent = Decimal(number).normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
