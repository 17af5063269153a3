"""The fields of the dock widget that say how the points are fitted."""

from typing import Any

from magicgui.widgets import Widget

from napari_sparse_gmm import parameters
from napari_sparse_gmm.objectives import PRIORS
from napari_sparse_gmm.plugin import messages
from napari_sparse_gmm.plugin.form.fields import field, value_of
from napari_sparse_gmm.plugin.form.length_fields import LengthFields
from napari_sparse_gmm.plugin.preferences import Preferences
from napari_sparse_gmm.plugin.qt.folding import folding_button

_PARAMETERS = (
    parameters.N_COMPONENTS,
    parameters.PRIOR,
    parameters.SPARSITY,
    parameters.BACKGROUND,
    parameters.INIT,
    parameters.SOLVER,
    parameters.COVARIANCE_FLOOR,
    parameters.COVARIANCE_PRIOR,
    parameters.TYPICAL_SIZE,
    parameters.MAX_ITER,
    parameters.RANDOM_STATE,
    parameters.ENGINE,
    parameters.DEVICE,
    parameters.N_THREADS,
)

# Those that mean something under some priors only.
_OF_SOME_PRIORS = (
    parameters.SPARSITY,
    parameters.INIT,
    parameters.COVARIANCE_PRIOR,
    parameters.TYPICAL_SIZE,
)


class FitFields:
    """Fields named like the parameters that they set; some are folded away at first.

    Parameters
    ----------
    preferred : Preferences
        Where some of them start.
    """

    def __init__(self, preferred: Preferences) -> None:
        self.n_components = field(parameters.N_COMPONENTS)
        self.prior = field(parameters.PRIOR)
        self.sparsity = field(parameters.SPARSITY, slider=True)
        self.background = field(parameters.BACKGROUND)

        self.advanced_button = folding_button(
            "advanced_button", "Advanced", messages.ADVANCED, False, self._show_advanced
        )
        self.init = field(parameters.INIT)
        self.solver = field(parameters.SOLVER)
        self.covariance_floor = field(parameters.COVARIANCE_FLOOR)
        self.covariance_prior = field(parameters.COVARIANCE_PRIOR)
        self.typical_size = field(parameters.TYPICAL_SIZE)
        self.max_iter = field(parameters.MAX_ITER)
        self.random_state = field(parameters.RANDOM_STATE, none_text="new each time")
        self.engine = field(parameters.ENGINE)
        self.device = field(parameters.DEVICE)
        self.n_threads = field(parameters.N_THREADS, none_text="automatic")

        self.computing: list[Widget] = [self.engine, self.device, self.n_threads]
        self.advanced: list[Widget] = [
            self.init,
            self.solver,
            self.covariance_floor,
            self.covariance_prior,
            self.typical_size,
            self.max_iter,
            self.random_state,
            *self.computing,
        ]
        self._lengths = LengthFields(self.covariance_floor, self.typical_size)
        self.engine.value, self.device.value = preferred.engine, preferred.device
        if preferred.n_threads is not None:
            self.n_threads.value = preferred.n_threads
        self.prior.changed.connect(self._on_prior_changed)

    def keywords(self) -> dict[str, Any]:
        """Of `SparseGaussianMixture`."""
        values = {p.name: value_of(p, getattr(self, p.name)) for p in _PARAMETERS}
        for parameter in _OF_SOME_PRIORS:  # what is not enabled does not count
            if parameter.name not in PRIORS[self.prior.value].uses:
                values[parameter.name] = parameter.default
        return values

    def suit(self, unit: Any, width: float, n_dimensions: int) -> None:
        """Follow the points that are to be fitted; see `LengthFields.follow`."""
        self._lengths.follow(unit, width, n_dimensions)

    def fold(self) -> None:
        """Hide what rarely needs a change, once it is in a form."""
        self._show_advanced(False)

    def _show_advanced(self, shown: bool) -> None:
        for widget in self.advanced:
            widget.visible = shown

    def _on_prior_changed(self, prior: str) -> None:
        for parameter in _OF_SOME_PRIORS:
            getattr(self, parameter.name).enabled = parameter.name in PRIORS[prior].uses
