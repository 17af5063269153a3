"""A button that folds a part of a form away."""

from collections.abc import Callable

from magicgui.widgets import PushButton


def folding_button(
    name: str, text: str, tooltip: str, unfolded: bool, show: Callable[[bool], object]
) -> PushButton:
    """A flat button that shows what belongs to it, or hides it: ▾ Advanced, ▸ Advanced.

    `show` is called at each click, not at first.
    """
    button = PushButton(name=name, tooltip=tooltip)
    button.native.setCheckable(True)
    button.native.setStyleSheet("text-align: left; padding-left: 4px; background: transparent;")

    def turn(shown: bool) -> None:
        button.text = f"{'▾' if shown else '▸'} {text}"

    button.value = unfolded
    turn(unfolded)
    button.changed.connect(turn)
    button.changed.connect(show)
    return button


def unfold(button: PushButton) -> None:
    """Show what belongs to a folding button."""
    if not button.value:
        button.native.click()
