"""What the user has set for good, on the plugin's page of napari's preferences.

The manifest says which settings there are, and their defaults.
"""

from dataclasses import dataclass

from napari.settings import get_plugin_settings

_PLUGIN = "napari-sparse-gmm"


@dataclass(frozen=True)
class Preferences:
    """Where the fields of a new widget start, and how much is drawn.

    Parameters
    ----------
    engine, device : str
    n_threads : int or None
        None: as the engine likes.
    scheduler : str
        Address of a Dask scheduler; "" for this machine.
    scratch_folder : str or None
        None: that of temporary files.
    longest_side : int
        Pixels of a 2D heatmap.
    most_ellipses : int
        How many are drawn, at most.
    """

    engine: str
    device: str
    n_threads: int | None
    scheduler: str
    scratch_folder: str | None
    longest_side: int
    most_ellipses: int


def preferences() -> Preferences:
    """What is set now."""
    settings = get_plugin_settings(_PLUGIN)
    computing, drawing = settings.computing, settings.drawing
    return Preferences(
        engine=computing.engine,
        device=computing.device,
        n_threads=computing.n_threads or None,
        scheduler=computing.scheduler,
        scratch_folder=computing.scratch_folder or None,
        longest_side=drawing.longest_side,
        most_ellipses=drawing.most_ellipses,
    )
