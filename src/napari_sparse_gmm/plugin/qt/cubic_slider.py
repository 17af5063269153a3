"""A slider for numbers of which the small ones matter most."""

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDoubleSpinBox, QSlider

_POSITIONS = 1000


class CubicSlider(QSlider):
    """Moves a spin box on a cubic scale: half of the way is for the lowest eighth of its range.

    Parameters
    ----------
    box : QDoubleSpinBox
        Its numbers begin at 0.
    """

    def __init__(self, box: QDoubleSpinBox) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self._box = box
        self.setRange(0, _POSITIONS)
        self.setPageStep(_POSITIONS // 20)
        self.setToolTip(box.toolTip())
        self._follow(box.value())
        box.valueChanged.connect(self._follow)
        self.valueChanged.connect(self._lead)

    def _follow(self, value: float) -> None:
        before = self.blockSignals(True)
        self.setValue(round(_POSITIONS * (value / self._box.maximum()) ** (1.0 / 3.0)))
        self.blockSignals(before)

    def _lead(self, position: int) -> None:
        value = self._box.maximum() * (position / _POSITIONS) ** 3
        self._box.setValue(float(f"{value:.2g}"))
