"""A label for whole sentences."""

from magicgui.widgets import Label
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QSizePolicy


def status_line(name: str = "status", label: str = "") -> Label:
    """Where whole sentences are shown: wrapped, never wider than the dock, to be copied."""
    status = Label(name=name, label=label)
    native = status.native
    native.setTextFormat(Qt.TextFormat.PlainText)
    native.setWordWrap(True)
    native.setAlignment(Qt.AlignmentFlag.AlignTop)
    native.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.MinimumExpanding)
    native.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return status
