"""The fields of the dock widget that say how the points are fitted."""

from collections.abc import Mapping
from typing import Any

from magicgui.widgets import ComboBox, Widget

from napari_sparse_gmm import parameters
from napari_sparse_gmm.objectives import PRIORS
from napari_sparse_gmm.plugin import messages
from napari_sparse_gmm.plugin.form.fields import compact, field, set_value, value_of
from napari_sparse_gmm.plugin.form.length_fields import LengthFields
from napari_sparse_gmm.plugin.preferences import Preferences
from napari_sparse_gmm.plugin.qt.folding import folding_button, unfold
from napari_sparse_gmm.plugin.qt.status_line import status_line

_PARAMETERS = (
    parameters.SPARSITY,
    parameters.N_COMPONENTS,
    parameters.PRIOR,
    parameters.BACKGROUND,
    parameters.SMOOTH_BACKGROUND,
    parameters.INIT,
    parameters.SOLVER,
    parameters.COVARIANCE_TYPE,
    parameters.COVARIANCE_FLOOR,
    parameters.COVARIANCE_PRIOR,
    parameters.TYPICAL_SIZE,
    parameters.REPEATS,
    parameters.MAX_ITER,
    parameters.RANDOM_STATE,
    parameters.ENGINE,
    parameters.DEVICE,
    parameters.N_THREADS,
)

# Those that mean something under some priors only.
_OF_SOME_PRIORS = (
    parameters.SPARSITY,
    parameters.SMOOTH_BACKGROUND,
    parameters.INIT,
    parameters.COVARIANCE_PRIOR,
    parameters.TYPICAL_SIZE,
)

# What is found where the parameters are those of no preset.
_OTHER = "other"

_NONE_TEXTS = {
    parameters.N_COMPONENTS.name: "as many as needed",
    parameters.REPEATS.name: "as the points say",
    parameters.RANDOM_STATE.name: "new each time",
}


def default_keywords(preferred: Preferences) -> dict[str, Any]:
    """Keywords of `SparseGaussianMixture`, where nothing was chosen."""
    return {p.name: p.default for p in _PARAMETERS} | {
        parameters.RANDOM_STATE.name: parameters.SEED,
        parameters.ENGINE.name: preferred.engine,
        parameters.DEVICE.name: preferred.device,
        parameters.N_THREADS.name: preferred.n_threads,
    }


class FitFields:
    """Fields named like the parameters that they set; some are folded away at first.

    A field that means nothing under the prior is not there, and does not count.

    Parameters
    ----------
    preferred : Preferences
        Where some of them start.
    """

    def __init__(self, preferred: Preferences) -> None:
        self._preferred = preferred
        self.find = compact(
            ComboBox(
                name="find",
                label="Find",
                tooltip=messages.FIND,
                choices=[
                    *((preset.label, preset.name) for preset in parameters.PRESETS),
                    ("As set under Advanced", _OTHER),
                ],
            ),
            letters=20,
        )
        self.fields: dict[str, Widget] = {
            parameter.name: field(parameter, none_text=_NONE_TEXTS.get(parameter.name, "automatic"))
            for parameter in _PARAMETERS
        }
        self.fields[parameters.SPARSITY.name].native.setDecimals(3)  # as those of a path have
        self.engine_used = status_line("engine_used", "Computed by")
        self.basic: list[Widget] = [self.find, self.fields[parameters.SPARSITY.name]]
        self.advanced: list[Widget] = [
            *(each for each in self.fields.values() if each not in self.basic),
            self.engine_used,
        ]
        self.of_fit: list[Widget] = [
            self.fields[parameter.name]
            for parameter in _PARAMETERS
            if parameter.name not in parameters.COMPUTING
        ]
        self.advanced_button = folding_button(
            "advanced_button", "Advanced", messages.ADVANCED, False, self.show_what_counts
        )
        self._lengths = LengthFields(
            *(self.fields[p.name] for p in (parameters.COVARIANCE_FLOOR, parameters.TYPICAL_SIZE))
        )
        self.reset()
        self.find.changed.connect(self._on_find_changed)
        for widget in self.of_fit:
            widget.changed.connect(self._on_field_changed)

    def keywords(self) -> dict[str, Any]:
        """Of `SparseGaussianMixture`."""
        values = {p.name: value_of(p, self.fields[p.name]) for p in _PARAMETERS}
        declared = PRIORS[values[parameters.PRIOR.name]]
        for parameter in _OF_SOME_PRIORS:
            if parameter.name not in declared.uses:
                values[parameter.name] = parameter.default
        if values[parameters.SOLVER.name] not in declared.solvers:
            values[parameters.SOLVER.name] = parameters.SOLVER.default
        return values

    def reset(self) -> None:
        """Back to the defaults, and to what the preferences say."""
        self.set_keywords(default_keywords(self._preferred))

    def set_keywords(self, values: Mapping[str, Any]) -> None:
        """Show some of the parameters, as far as fields can."""
        for parameter in _PARAMETERS:
            if parameter.name not in values:
                continue
            value = values[parameter.name]
            if isinstance(parameter.default, bool):
                value = bool(value)  # a region is another field's
            set_value(parameter, self.fields[parameter.name], value)
        self._on_field_changed()

    def suit(self, unit: Any, width: float, n_dimensions: int) -> None:
        """Follow the points that are to be fitted; see `LengthFields.follow`."""
        self._lengths.follow(unit, width, n_dimensions)

    def show_what_counts(self, _: Any = None) -> None:
        """Show the fields that mean something under the prior, those that are unfolded."""
        values = self.keywords()
        declared = PRIORS[values[parameters.PRIOR.name]]
        unfolded = self.advanced_button.value
        for widget in self.advanced:
            widget.visible = unfolded
        for parameter in _OF_SOME_PRIORS:
            widget = self.fields[parameter.name]
            shown = unfolded or widget in self.basic
            widget.visible = shown and parameter.name in declared.uses
        if not values[parameters.BACKGROUND.name]:
            self.fields[parameters.SMOOTH_BACKGROUND.name].visible = False
        if values[parameters.COVARIANCE_PRIOR.name] == 0:
            self.fields[parameters.TYPICAL_SIZE.name].visible = False
        self.fields[parameters.SOLVER.name].visible = unfolded and len(declared.solvers) > 1
        self.engine_used.visible = unfolded and bool(self.engine_used.value)

    def _on_find_changed(self, name: str) -> None:
        for preset in parameters.PRESETS:
            if preset.name == name:
                self.set_keywords(preset.values)
        if name == _OTHER:
            unfold(self.advanced_button)

    def _on_field_changed(self, _: Any = None) -> None:
        values = self.keywords()
        found = next(
            (
                preset.name
                for preset in parameters.PRESETS
                if all(values[name] == value for name, value in preset.values.items())
            ),
            _OTHER,
        )
        with self.find.changed.blocked():
            self.find.value = found
        self.show_what_counts()
