"""What a user sees, event by event, of runs and live fits: as it was written down.

Where something else is meant to be seen, `REWRITE_TRACES=1 pytest tests/plugin/test_traces.py`
writes it down anew; the difference is for a reader.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Image, Points
from plugin.fakes import DATA, FakeFit, HandClock, HandWorker, SlowKeOps

from napari_sparse_gmm import SparseGaussianMixture, estimator
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.plugin.density_widget import SparseGMMWidget
from napari_sparse_gmm.plugin.layers.model_metadata import MODEL_KEY

TRACES = Path(__file__).parents[1] / "data" / "traces.json"
# By name, for each event what is different after it.
KNOWN: dict[str, list[Any]] = json.loads(TRACES.read_text())


class Hand:
    """Does to a widget what a script says, and writes down what is seen of it."""

    def __init__(
        self,
        viewer: Any,
        widget: SparseGMMWidget,
        workers: list[HandWorker],
        fit: FakeFit,
        clock: HandClock,
    ) -> None:
        self._viewer, self._widget, self._workers = viewer, widget, workers
        self._fit, self._clock = fit, clock
        self._kinds: dict[int, str] = {}

    def do(self, event: list[Any]) -> None:
        name, *arguments = event
        getattr(self, f"_{name}")(*arguments)

    def _run(self) -> None:
        self._widget.run_button.native.click()

    def _path(self) -> None:
        self._widget.path_button.native.click()

    def _cancel(self) -> None:
        self._widget.cancel_button.native.click()

    def _set(self, field: str, value: Any) -> None:
        field = getattr(self._widget, field)
        if field is self._widget.use:
            value = type(field.value)[value]
        if field.enabled:
            field.value = value

    def _slide(self, index: int) -> None:
        self._widget.path_view.slider.value = index

    def _pass(self, seconds: float) -> None:
        self._clock.let_pass(seconds)

    def _jump(self, seconds: float) -> None:
        self._clock.time += seconds

    def _fake(self, name: str, value: Any) -> None:
        setattr(self._fit, name, value)

    def _error(self, kind: str | None) -> None:
        errors = {"refusal": InputError("No."), "failure": ValueError("no luck"), None: None}
        self._fit.error = errors[kind]

    def _real(self) -> None:
        """From now on fits are real ones; the fixture takes that back, too."""
        estimator.SparseGaussianMixture = SparseGaussianMixture
        self._set("n_components", 6)
        self._set("engine", "torch")

    def _add(self, name: str) -> None:
        self._viewer.add_points(DATA + 500.0, name=name, units="nm")

    def _choose(self, name: str) -> None:
        self._widget.points.value = self._viewer.layers[name]

    def _remove(self, name: str) -> None:
        self._viewer.layers.remove(name)

    def _move(self, name: str) -> None:
        self._viewer.layers[name].data = self._viewer.layers[name].data + 7.0

    def _grow(self, name: str) -> None:
        self._viewer.layers[name].add([[50.0, 50.0]])

    def _select(self, name: str, points: list[int]) -> None:
        self._viewer.layers[name].selected_data = set(points)

    def _features(self, name: str, weights: list[float]) -> None:
        self._viewer.layers[name].features = {"w": weights}

    def _close(self) -> None:
        self._viewer.window.remove_dock_widget(self._widget.native)

    def _step(self, n: int) -> None:
        for worker in [worker for worker in self._workers if not worker.done][:1]:
            for _ in range(n):
                if not worker.done:
                    worker.go_on()

    def _finish(self) -> None:
        for worker in [worker for worker in self._workers if not worker.done][:1]:
            worker.finish()

    def seen(self) -> dict[str, Any]:
        widget = self._widget
        buttons = (widget.run_button, widget.path_button, widget.cancel_button)
        seen: dict[str, Any] = {
            "work": [self._work(worker) for worker in self._workers][-3:],
            "waits": waits(widget, self._clock.time),
            "enabled": [button.name for button in buttons if button.enabled],
            "status": widget.status.value[:20],
            "sparsity": widget.sparsity.value,
            "steps": [step.iteration for step in widget.convergence_view.passes][-2:],
            "plots": not widget.plots.isHidden(),
            "path": widget.plots.isTabVisible(1) and widget.path_view.slider.value,
            "bar": not widget.progress.native.isHidden() and widget.progress.native.format(),
        }
        for layer in self._viewer.layers:
            seen[layer.name] = look_of(layer)
        return seen

    def _work(self, worker: HandWorker) -> str:
        kind = self._kinds.setdefault(id(worker), kind_of(worker))
        return (
            kind + (" stopped" if worker.abort_requested else "") + (" over" if worker.done else "")
        )


def waits(widget: SparseGMMWidget, now: float) -> dict[str, float]:
    """For how long it waits before it begins something."""
    state = widget.controller.state
    timers = {"redraw": state.redraw_at, "refit": state.refit_at}
    return {name: round(100 * (due - now)) / 100 for name, due in timers.items() if due is not None}


def kind_of(worker: HandWorker) -> str:
    """The name of the work, deep in the generators around it."""
    work = worker.work
    while work.gi_frame is not None and "work" in work.gi_frame.f_locals:
        work = work.gi_frame.f_locals["work"]
    return work.gi_code.co_name


def look_of(layer: Any) -> Any:
    if isinstance(layer, Image):
        return [max(layer.data.shape), float(f"{layer.data.sum():.3g}")]
    if isinstance(layer, Points):
        return [len(layer.data), len(np.unique(layer.face_color, axis=0)), list(layer.features)]
    widest = max((np.ptp(corners, axis=0).max() for corners in layer.data), default=0.0)
    return [layer.nshapes, round(float(widest)), MODEL_KEY in layer.metadata]


def changes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    gone = {name: None for name in before if name not in after}
    return gone | {name: after[name] for name in after if before.get(name) != after[name]}


@pytest.mark.filterwarnings("ignore:.*no luck.*")
@pytest.mark.parametrize("name", KNOWN)
def test_what_is_seen_of_events(
    name: str,
    request: pytest.FixtureRequest,
    clock: HandClock,
    viewer: Any,
    widget: SparseGMMWidget,
    workers: list[HandWorker],
    fake_fit: FakeFit,
    slow_keops: SlowKeOps,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "napari_sparse_gmm.plugin.form.task_form.notification_manager.receive_error",
        lambda *_: None,
    )
    widget.random_state.value, widget.longest_side.value, widget.sharpen.value = 1, 24, False
    fake_fit.n_steps, slow_keops.n_waits = 40, 0
    fake_fit.on_step = lambda _: hand.do(["jump", 0.04])
    hand = Hand(viewer, widget, workers, fake_fit, clock)
    seen, trace = hand.seen(), []
    for event, _ in KNOWN[name]:
        hand.do(event)
        before, seen = seen, hand.seen()
        trace.append([event, json.loads(json.dumps(changes(before, seen)))])
    if os.environ.get("REWRITE_TRACES"):
        KNOWN[name] = trace
        TRACES.write_text(written(KNOWN))
    for found, expected in zip(trace, KNOWN[name], strict=True):
        assert found == expected


def written(traces: dict[str, list[Any]]) -> str:
    """One event a line."""
    parts = []
    for name, trace in traces.items():
        lines = ",\n".join(f"  {json.dumps(line)}" for line in trace)
        parts.append(f"{json.dumps(name)}: [\n{lines}\n]")
    return "{\n" + ",\n".join(parts) + "\n}\n"
