"""Which engine computes, where, and why, in one sentence for the user."""

import warnings
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from napari_sparse_gmm.engines.engine import EngineUnavailable
from napari_sparse_gmm.engines.in_memory import InMemory, block_size
from napari_sparse_gmm.engines.ready import Waiting, get_ready
from napari_sparse_gmm.engines.torch_tiles import TorchTiles
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.observations import Observations
from napari_sparse_gmm.parameters import DEVICE, ENGINE


class EngineFallbackWarning(UserWarning):
    """The requested engine cannot run; another one does the same work."""


@dataclass(frozen=True)
class Opening:
    """How points are held; what `InMemory` takes beside them. It may be sent to other machines.

    Parameters
    ----------
    engine, device : str
    dtype : dtype
    block_size : int
    tolerance : float, optional
    """

    engine: str
    device: str
    dtype: np.dtype[Any]
    block_size: int
    tolerance: float | None

    def open(self, observations: Observations, **known: Any) -> InMemory:
        """The engine, holding these observations; what else is `known` goes to `InMemory`."""
        choice = choose_engine(
            self.engine,
            self.device,
            n_dimensions=observations.n_dimensions,
            noise=observations.noise is not None,
        )
        return choice.hold(observations, self, **known)


@dataclass(frozen=True)
class EngineChoice:
    """An engine, a device, and the reason."""

    engine: type[InMemory]
    device: str
    reason: str

    def open(
        self,
        observations: Observations,
        *,
        n_components: int,
        tolerance: float | None = None,
        exact: bool = False,
    ) -> InMemory:
        """The engine, holding these observations for mixtures of up to `n_components`."""
        n = len(observations)
        how = self.opening(n, n_components=n_components, tolerance=tolerance, exact=exact)
        return self.hold(observations, how)

    def opening(
        self,
        n_points: int,
        *,
        n_components: int,
        tolerance: float | None = None,
        exact: bool = False,
    ) -> Opening:
        """How to hold so many points for mixtures of up to `n_components`.

        The kernels are single precision where that is enough; but for problems so small that
        double precision takes no longer, and where they are to be `exact`.
        """
        small = n_points * n_components <= self.engine.small
        return Opening(
            self.engine.name,
            self.device,
            np.dtype(np.float64 if small or exact else np.float32),
            block_size(n_points, n_components),
            tolerance,
        )

    def hold(self, observations: Observations, how: Opening, **known: Any) -> InMemory:
        """The engine, holding these observations; what else is `known` goes to `InMemory`."""
        engine = self.engine(
            observations,
            device=self.device,
            dtype=how.dtype,
            block_size=how.block_size,
            tolerance=how.tolerance,
            **known,
        )
        engine.reason = self.reason
        return engine


def choose_engine(
    engine: str = ENGINE.default,
    device: str = DEVICE.default,
    *,
    n_dimensions: int,
    noise: bool = False,
) -> EngineChoice:
    """Resolve "auto", check that what is requested works, fall back where it does not.

    The first time on a machine kernels have to be compiled, and this waits; `preparation` does so
    with progress reporting. On a graphics card "auto" waits for no compiler: PyTorch takes over
    meanwhile.

    Parameters
    ----------
    engine : {"auto", "fused", "keops", "torch"}
    device : {"auto", "cpu", "cuda"}
    n_dimensions : int
        Dimensions of the points: a KeOps kernel is compiled for each.
    noise : bool
        Whether the points have noise of their own: there are other kernels for that.

    Raises
    ------
    InputError
        Where a name is not known, or CUDA is requested and there is none, or for an engine of
        processors.

    Warns
    -----
    EngineFallbackWarning
        Where the requested engine cannot run here; PyTorch then does the work.
    """
    kind = _device(engine, device)
    name = _resolved(engine, kind)
    if name == "torch":
        return EngineChoice(TorchTiles, kind, "PyTorch, as asked for.")
    preparation = get_ready(name, n_dimensions, kind, noise=noise)
    if (engine, kind) == ("auto", "cuda") and any(w.sentence for w in preparation.waiting()):
        return EngineChoice(
            TorchTiles,
            kind,
            f"PyTorch, while KeOps compiles its kernels for {n_dimensions}D points, this first "
            "time; a later fit takes KeOps.",
        )
    try:
        found = preparation.outcome.result()
    except EngineUnavailable as error:
        reason = f"PyTorch instead of {ENGINE.choice_labels[name]}. {error}"
        if engine != "auto":
            warnings.warn(reason, EngineFallbackWarning, stacklevel=2)
        return EngineChoice(TorchTiles, kind, reason)
    why = "as asked for" if engine != "auto" else f"the fastest on {_WHERE[kind]}"
    return EngineChoice(found, kind, f"{ENGINE.choice_labels[name]}, {why}.")


def preparation(
    engine: str = ENGINE.default,
    device: str = DEVICE.default,
    *,
    n_dimensions: int,
    noise: bool = False,
) -> Generator[Waiting, None, None]:
    """Yield a few times a second as long as `choose_engine` would have to wait for compilers.

    Closing it stops the waiting; what compiles goes on behind the scenes, for the next time.
    Compile errors are raised by `choose_engine`. Takes and raises what that does.
    """
    kind = _device(engine, device)
    name = _resolved(engine, kind)
    if name == "torch":
        return
    for waiting in get_ready(name, n_dimensions, kind, noise=noise).waiting():
        if (engine, kind) == ("auto", "cuda") and waiting.sentence:
            return
        yield waiting


_WHERE = {"cpu": "a processor", "cuda": "a graphics card"}


def _device(engine: str, device: str) -> str:
    """ "cpu" or "cuda"; InputError where a name is not known or there is no such device."""
    for parameter, value in ((ENGINE, engine), (DEVICE, device)):
        if value not in (parameter.choices or ()):
            raise InputError(f"{parameter.name} must be one of {parameter.choices}, not {value!r}.")
    if engine == "fused":
        if device == "cuda":
            raise InputError(
                "engine='fused' computes on the processor; for device='cuda' use 'auto', 'keops' "
                "or 'torch'."
            )
        return "cpu"
    cuda = torch.cuda.is_available()
    if device == "cuda" and not cuda:
        raise InputError(
            "device='cuda' was asked for, but PyTorch finds no CUDA graphics card; use 'auto'."
        )
    return "cuda" if cuda and device != "cpu" else "cpu"


def _resolved(engine: str, device: str) -> str:
    if engine == "auto":
        return "keops" if device == "cuda" else "fused"
    return engine
