"""Which engine computes, where, and why, in one sentence for the user."""

import warnings
from collections.abc import Generator
from dataclasses import dataclass

import torch

from napari_sparse_gmm.engines.engine import Engine, EngineUnavailable, block_size
from napari_sparse_gmm.engines.keops_ready import Waiting, get_ready
from napari_sparse_gmm.engines.torch_tiles import TorchTiles
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.parameters import DEVICE, ENGINE


class EngineFallbackWarning(UserWarning):
    """The engine that was asked for cannot run; another one does the same work."""


@dataclass(frozen=True)
class EngineChoice:
    """An engine, a device, and the reason."""

    engine: type[Engine]
    device: str
    reason: str

    def open(
        self,
        points: FloatArray,
        sample_weight: FloatArray | None = None,
        *,
        noise: FloatArray | None = None,
        n_components: int,
        tolerance: float | None = None,
    ) -> Engine:
        """The engine, holding these points for mixtures of up to `n_components`.

        See `Engine` for the parameters. The kernels are single precision, but for problems so
        small that double precision takes no longer.
        """
        small = len(points) * n_components <= self.engine.small
        return self.engine(
            points,
            sample_weight,
            noise=noise,
            device=self.device,
            dtype=torch.float64 if small else torch.float32,
            block_size=block_size(len(points), n_components),
            tolerance=tolerance,
        )


def choose_engine(
    engine: str = ENGINE.default,
    device: str = DEVICE.default,
    *,
    n_dimensions: int,
    noise: bool = False,
) -> EngineChoice:
    """Resolve "auto", check that what was asked for works, fall back where it does not.

    `engine="keops"` waits for its kernels to be compiled, the first time; `preparation` does
    so under the eyes of the user. "auto" waits for no compiler: PyTorch takes over meanwhile.

    Parameters
    ----------
    engine : {"auto", "keops", "torch"}
    device : {"auto", "cpu", "cuda"}
    n_dimensions : int
        Dimensions of the points: a KeOps kernel is compiled for each.
    noise : bool
        Whether the points have noise of their own: there are other kernels for that.

    Raises
    ------
    InputError
        Where a name is not known, or CUDA is asked for and there is none.

    Warns
    -----
    EngineFallbackWarning
        Where `engine="keops"` cannot run here; PyTorch then does the work.
    """
    place = _place(engine, device)
    if engine == "torch":
        return EngineChoice(TorchTiles, place, "PyTorch, as asked for.")
    if not _tries_keops(engine, place):
        # benchmarks/peers.py and large.py: where all overlap KeOps takes 2.4 to 4.7 times as long,
        # for whole fits 1.2 to 1.9 times.
        return EngineChoice(TorchTiles, place, "PyTorch: on a processor it is faster than KeOps.")
    keops = get_ready(n_dimensions, place, noise=noise)
    if engine == "auto" and any(waiting.sentence for waiting in keops.waiting()):
        return EngineChoice(
            TorchTiles,
            place,
            f"PyTorch, while KeOps compiles its kernels for {n_dimensions}D points, this first "
            "time; a later fit takes KeOps.",
        )
    try:
        found = keops.outcome.result()
    except EngineUnavailable as error:
        reason = f"PyTorch instead of KeOps. {error}"
        if engine == "keops":
            warnings.warn(reason, EngineFallbackWarning, stacklevel=2)
        return EngineChoice(TorchTiles, place, reason)
    why = "as asked for" if engine == "keops" else "on a graphics card"
    return EngineChoice(found, place, f"KeOps, {why}.")


def preparation(
    engine: str = ENGINE.default,
    device: str = DEVICE.default,
    *,
    n_dimensions: int,
    noise: bool = False,
) -> Generator[Waiting, None, None]:
    """Yield a few times a second as long as `choose_engine` would have to wait for KeOps.

    Closing it stops the waiting; what compiles goes on behind the scenes, for the next time.
    What cannot be compiled is for `choose_engine` to say. Takes and raises what that does.
    """
    place = _place(engine, device)
    if _tries_keops(engine, place):
        for waiting in get_ready(n_dimensions, place, noise=noise).waiting():
            if engine == "auto" and waiting.sentence:
                return
            yield waiting


def _place(engine: str, device: str) -> str:
    """ "cpu" or "cuda"; InputError where a name is not known or there is no such place."""
    for parameter, value in ((ENGINE, engine), (DEVICE, device)):
        if value not in (parameter.choices or ()):
            raise InputError(f"{parameter.name} must be one of {parameter.choices}, not {value!r}.")
    cuda = torch.cuda.is_available()
    if device == "cuda" and not cuda:
        raise InputError(
            "device='cuda' was asked for, but PyTorch finds no CUDA graphics card; use 'auto'."
        )
    return "cuda" if cuda and device != "cpu" else "cpu"


def _tries_keops(engine: str, place: str) -> bool:
    return engine == "keops" or (engine == "auto" and place == "cuda")
