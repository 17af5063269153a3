"""How far the arrows of a field for a real number go at once."""

import math

from qtpy.QtCore import QObject
from qtpy.QtWidgets import QAbstractSpinBox, QDoubleSpinBox


class Steps(QObject):
    """Keeps the steps of a spin box such that a few of them matter: see `step`.

    Parameters
    ----------
    box : QDoubleSpinBox
    first : float
        The first step up from 0.
    """

    def __init__(self, box: QDoubleSpinBox, first: float) -> None:
        super().__init__(box)
        self._box = box
        box.setStepType(QAbstractSpinBox.StepType.DefaultStepType)
        self.begin_with(first)
        box.valueChanged.connect(self._on_value_changed)

    def begin_with(self, first: float) -> None:
        """From now on take another first step."""
        self._first = first
        self._on_value_changed(self._box.value())

    def _on_value_changed(self, value: float) -> None:
        self._box.setSingleStep(step(value, self._first))


def step(value: float, first: float) -> float:
    """The first step from 0; later a tenth of the number or less, and not below the first step.

    Smaller steps are for numbers below the first one, which somebody has typed.

    >>> [step(value, 5.0) for value in (0.0, 5.0, 80.0, 200.0, 0.3)]
    [5.0, 5.0, 5.0, 10.0, 0.01]
    """
    if value <= 0.0:
        return first
    order = float(f"1e{math.floor(math.log10(value)) - 1}")
    return max(order, first) if value >= first else order
