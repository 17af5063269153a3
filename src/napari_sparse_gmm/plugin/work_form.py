"""What every form with work in a thread shows of it."""

from magicgui.widgets import Container, Label, ProgressBar
from napari.utils.notifications import notification_manager

from napari_sparse_gmm.plugin.work import Progress


class WorkForm(Container):
    """A form with a progress bar and a status line."""

    progress: ProgressBar
    status: Label

    def _say(self, sentence: str) -> None:
        self.status.value = sentence

    def _show_progress(self, progress: Progress) -> None:
        self.progress.max = progress.total
        self.progress.value = progress.value
        self.progress.native.setFormat(progress.text)
        if progress.sentence is not None:
            self._say(progress.sentence)

    def _show_failure(self, error: Exception) -> None:
        self._say(str(error))
        # A notification has the traceback, for a report.
        notification_manager.receive_error(type(error), error, error.__traceback__)
