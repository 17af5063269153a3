"""The field that says which axes are modelled: each layer keeps those that were chosen for it."""

from typing import Any
from weakref import WeakKeyDictionary

from napari.layers import Points

from napari_sparse_gmm.plugin.form.fields import choice
from napari_sparse_gmm.plugin.space.axes import (
    Axes,
    axis_names,
    default_axes,
    possible_axes,
    time_axes,
)


class AxesField:
    """Offers the axes of a layer in `widget`; asks where several could be space."""

    def __init__(self) -> None:
        self._layer: Points | None = None
        self._by_label: dict[str, Axes] = {}
        # Where they are not what a layer starts with.
        self._of_layer: WeakKeyDictionary[Points, Axes] = WeakKeyDictionary()
        self.widget = choice(
            "axes",
            "Axes",
            "The axes of space to model. Points are taken together along the others.",
            self._choices,
        )
        self.widget.changed.connect(self._remember)

    @property
    def chosen(self) -> Axes | None:
        """The axes to model; None where that is still to be chosen."""
        return self._by_label.get(self.widget.value)

    def offer(self, layer: Points | None) -> bool:
        """Offer the axes that a layer has now; whether the field says something else than before.

        Then `changed` was emitted.
        """
        widget, before = self.widget, self.widget.value
        self._layer, self._by_label, axes = layer, {}, None
        if layer is not None:
            names = axis_names(layer)
            self._by_label = {
                ", ".join(names[axis] for axis in axes): axes
                for axes in possible_axes(layer.ndim, time_axes(layer))
            }
            axes = self._of_layer.get(layer)
            if axes not in self._by_label.values():
                axes = default_axes(layer)
        label = next((label for label, those in self._by_label.items() if those == axes), None)
        # What it says meanwhile is nobody's choice.
        with widget.changed.blocked():
            widget.native.clear()  # or those that both layers have would keep their order
            widget.reset_choices()
            widget.value = label
        # Two axes leave no choice, unless one of them is time.
        widget.visible = len(widget.choices) > 1
        if label != before:
            widget.changed.emit(label)
        return label != before

    def _choices(self, _: Any = None) -> list[tuple[str, str | None]]:
        labels: list[tuple[str, str | None]] = [(label, label) for label in self._by_label]
        if self._layer is None or default_axes(self._layer) is None:
            return [("Choose…", None), *labels]
        return labels

    def _remember(self, _: Any = None) -> None:
        layer, axes = self._layer, self.chosen
        if layer is None or axes is None:
            return
        if axes == default_axes(layer):
            self._of_layer.pop(layer, None)
        else:
            self._of_layer[layer] = axes
