"""Input fields of the dock widget, built from `parameters`.

>>> from napari_sparse_gmm.parameters import PIXEL_SIZE, PRIOR
>>> field(PRIOR).value
'bayes'
>>> value_of(PIXEL_SIZE, field(PIXEL_SIZE)) is None  # shown as "automatic"
True
"""

from collections.abc import Callable, Sequence
from typing import Any

from magicgui.widgets import (
    CheckBox,
    ComboBox,
    FloatSpinBox,
    SpinBox,
    Widget,
)
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox

from napari_sparse_gmm.parameters import Parameter
from napari_sparse_gmm.plugin.qt.spin_steps import Steps

# What stands for None in a spin box of real numbers; among integers it is the one just below
# the smallest that means something.
_NONE_FLOAT = 0.0

_LARGEST = 1e9

# Of a choice so many letters are shown: its first ones, and its last ones.
_FIRST, _LAST = 22, 9


def field(parameter: Parameter, *, none_text: str = "automatic") -> Widget:
    """A field for one parameter: its label, tooltip, range, choices and default.

    Where the default is None the field shows `none_text` for it, at the lower end of its
    range; read such a field with `value_of`, and set it with `set_value`.
    """
    options = {"name": parameter.name, "label": parameter.label, "tooltip": parameter.help}
    if parameter.choices is not None:
        labels = parameter.choice_labels
        choices = [(labels.get(choice, choice), choice) for choice in parameter.choices]
        return compact(ComboBox(choices=choices, value=parameter.default, **options), letters=20)
    if isinstance(parameter.default, bool):
        return CheckBox(value=parameter.default, **options)
    integer = isinstance(parameter.minimum, int)
    box = SpinBox if integer else FloatSpinBox
    if parameter.default is not None:
        widget = box(
            value=parameter.default, min=parameter.minimum, max=parameter.maximum, **options
        )
        if parameter.step is not None:
            Steps(widget.native, parameter.step)
        return widget
    lowest = parameter.minimum - 1 if isinstance(parameter.minimum, int) else _NONE_FLOAT
    # For integers as well: superqt's box for those knows no special text.
    widget = FloatSpinBox(value=lowest, min=lowest, max=parameter.maximum or _LARGEST, **options)
    if integer:
        widget.native.setDecimals(0)
    if integer or parameter.step is not None:
        widget.step = parameter.step or 1
    widget.native.setSpecialValueText(none_text)
    # Its size hint has room for the largest number in full.
    widget.native.setMinimumWidth(80)
    return widget


def value_of(parameter: Parameter, widget: Widget) -> Any:
    """The parameter's value in a field, None where the field says so."""
    if parameter.default is None and widget.value == widget.min:
        return None
    return int(widget.value) if isinstance(parameter.minimum, int) else widget.value


def set_value(parameter: Parameter, widget: Widget, value: Any) -> None:
    """Show a value of the parameter in its field; None where the default is."""
    show_value(widget, widget.min if value is None and parameter.default is None else value)


def show_value(widget: Widget, value: Any) -> None:
    """Show a value, also one beyond the range of a field; not what is no choice (any more)."""
    if hasattr(widget, "max"):
        widget.max = max(widget.max, value)
    if value in getattr(widget, "choices", (value,)):
        widget.value = value


def compact(combo_box: ComboBox, letters: int = 14) -> ComboBox:
    """The combo box, as wide as some capital letters whatever the length of its choices."""
    policy = QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
    combo_box.native.setSizeAdjustPolicy(policy)
    combo_box.native.setMinimumContentsLength(letters)
    return combo_box


class _Choice(ComboBox):
    """Says in full, where the mouse rests on it, what it shows shortened."""

    def __init__(self, choices: Callable[[Any], Sequence[Any]], **options: Any) -> None:
        self._choices = choices
        self._full: dict[str, str] = {}  # the name of a choice by what is shown of it
        super().__init__(choices=self._shown, **options)
        self.native.currentIndexChanged.connect(self._tell_none)

    def reset_choices(self, *_: Any) -> None:
        super().reset_choices()
        for index in range(self.native.count()):
            name = self._full.get(self.native.itemText(index), "")
            self.native.setItemData(index, name, Qt.ItemDataRole.ToolTipRole)

    def _tell_none(self, index: int) -> None:
        """magicgui tells of no choice that is None."""
        if index >= 0 and self.value is None:
            self.changed.emit(None)

    def _shown(self, widget: Any) -> list[tuple[str, Any]]:
        named = [
            one if isinstance(one, tuple) else (str(one), one) for one in self._choices(widget)
        ]
        shown = one_line([name for name, _ in named])
        self._full = {short: name for short, (name, _) in zip(shown, named, strict=True)}
        return [(short, value) for short, (_, value) in zip(shown, named, strict=True)]


def one_line(names: Sequence[str]) -> list[str]:
    """Names without line breaks, none of them long, and still all different."""
    lines = [" ".join(name.split()) for name in names]
    short = [
        line if len(line) <= _FIRST + _LAST else f"{line[:_FIRST]}…{line[-_LAST:]}"
        for line in lines
    ]
    return [
        name if short.count(name) == 1 else f"{name} ({number})"
        for number, name in enumerate(short, start=1)
    ]


def choice(
    name: str, label: str, tooltip: str, choices: Callable[[Any], Sequence[Any]]
) -> ComboBox:
    """A field whose choices depend on the layers."""
    return compact(_Choice(choices, name=name, label=label, tooltip=tooltip))


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
