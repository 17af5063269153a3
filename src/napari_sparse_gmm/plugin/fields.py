"""Input fields of the dock widget, built from `parameters`.

>>> field(PRIOR).value
'sqrt'
>>> value_of(PIXEL_SIZE, field(PIXEL_SIZE)) is None  # shown as "automatic"
True
"""

from collections.abc import Callable, Sequence
from typing import Any

from magicgui.widgets import (
    CheckBox,
    ComboBox,
    Container,
    FloatSlider,
    FloatSpinBox,
    Label,
    SpinBox,
    Widget,
)
from qtpy.QtCore import QEvent, QObject, QSize, Qt
from qtpy.QtWidgets import QComboBox, QFrame, QLabel, QScrollArea, QSizePolicy, QWidget

from napari_sparse_gmm.parameters import Parameter

# What stands for None in a spin box of real numbers; among integers it is the one just below
# the smallest that means something.
_NONE_FLOAT = 0.0

_LARGEST = 1e9

# Pixels of the fields that are seen at least; one scrolls to the others.
_LEAST_HEIGHT = 150


def field(parameter: Parameter, *, slider: bool = False, none_text: str = "automatic") -> Widget:
    """A field for one parameter: its label, tooltip, range, choices and default.

    Where the default is None the field shows `none_text` for it, at the lower end of its
    range; read such a field with `value_of`. `slider` is for a real number.
    """
    options = {"name": parameter.name, "label": parameter.label, "tooltip": parameter.help}
    if parameter.choices is not None:
        labels = parameter.choice_labels
        choices = [(labels.get(choice, choice), choice) for choice in parameter.choices]
        return compact(ComboBox(choices=choices, value=parameter.default, **options), letters=20)
    if isinstance(parameter.default, bool):
        return CheckBox(value=parameter.default, **options)
    integer = isinstance(parameter.minimum, int)
    box = FloatSlider if slider else SpinBox if integer else FloatSpinBox
    if parameter.default is not None:
        return box(value=parameter.default, min=parameter.minimum, max=parameter.maximum, **options)
    lowest = parameter.minimum - 1 if isinstance(parameter.minimum, int) else _NONE_FLOAT
    # For integers as well: superqt's box for those knows no special text.
    widget = FloatSpinBox(value=lowest, min=lowest, max=parameter.maximum or _LARGEST, **options)
    if integer:
        widget.native.setDecimals(0)
        widget.step = 1
    widget.native.setSpecialValueText(none_text)
    # Its size hint has room for the largest number in full.
    widget.native.setMinimumWidth(80)
    return widget


def value_of(parameter: Parameter, widget: Widget) -> Any:
    """The parameter's value in a field, None where the field says so."""
    if parameter.default is None and widget.value == widget.min:
        return None
    return int(widget.value) if isinstance(parameter.minimum, int) else widget.value


def compact(combo_box: ComboBox, letters: int = 14) -> ComboBox:
    """The combo box, as wide as some capital letters whatever the length of its choices."""
    policy = QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
    combo_box.native.setSizeAdjustPolicy(policy)
    combo_box.native.setMinimumContentsLength(letters)
    return combo_box


def choice(
    name: str, label: str, tooltip: str, choices: Callable[[Any], Sequence[Any]]
) -> ComboBox:
    """A field whose choices depend on the layers."""
    return compact(ComboBox(name=name, label=label, tooltip=tooltip, choices=choices))


def offer_layers(field: ComboBox) -> bool:
    """Offer the layers that there are now; whether the chosen one is still among them.

    It stays chosen under a new name.
    """
    chosen = field.value
    # A layer under a new name is first gone, and then another one is chosen.
    with field.changed.blocked():
        field.reset_choices()
        if chosen in field.choices:
            field.value = chosen
    if field.value is not chosen:
        field.changed.emit(field.value)
    return field.value is chosen


def status_line() -> Label:
    """Where whole sentences are told: wrapped, never wider than the dock, to be copied."""
    status = Label(name="status")
    native = status.native
    native.setTextFormat(Qt.TextFormat.PlainText)
    native.setWordWrap(True)
    native.setAlignment(Qt.AlignmentFlag.AlignTop)
    native.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.MinimumExpanding)
    native.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return status


class LabelColumn(QObject):
    """Keeps the labels of a form as wide as the widest of them.

    magicgui measures them in the application's font when the form is made; napari's style
    sets another one when it is docked, and the user may choose its size.
    """

    def __init__(self, form: Container) -> None:
        super().__init__(form.native)
        rows = [widget.native.parentWidget() for widget in form]
        self._labels = [row.findChild(QLabel) for row in rows if row is not form.native]
        form.native.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Qt's hook: sees the events of the form, and lets them pass."""
        if event.type() in (QEvent.Type.Show, QEvent.Type.FontChange, QEvent.Type.StyleChange):
            widest = max(label.sizeHint().width() for label in self._labels)
            for label in self._labels:
                label.setMinimumWidth(widest)
        return False


class VerticalScroll(QScrollArea):
    """Shows a widget on a screen of any height, never narrower than the widget needs."""

    def __init__(self, widget: QWidget) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMinimumHeight(_LEAST_HEIGHT)
        self.setWidget(widget)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Qt's hook: sees the events of the widget."""
        if event.type() == QEvent.Type.LayoutRequest:
            bar = self.verticalScrollBar().sizeHint().width()
            self.setMinimumWidth(watched.minimumSizeHint().width() + bar)
        return super().eventFilter(watched, event)

    def sizeHint(self) -> QSize:  # noqa: N802
        """As high as the widget, where there is room."""
        return self.widget().sizeHint()


def set_length_unit(widget: FloatSpinBox, unit: str, smallest: float) -> None:
    """Make a field for a length show `unit`, and digits down to `smallest`, a positive length."""
    decimals = min(max(0, -_exponent(smallest)), 15)
    widget.native.setDecimals(decimals)
    widget.native.setSingleStep(max(smallest, 10.0**-decimals))
    widget.native.setSuffix(f" {unit}" if unit else "")


def _exponent(number: float) -> int:
    """The power of ten of a positive number: -3 for 0.0042."""
    return int(f"{number:e}".partition("e")[2])
