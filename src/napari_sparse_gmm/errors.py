"""The errors that are meant for the caller.

>>> try:
...     Observations.of([1.0, 2.0])
... except InputError as error:  # what came, and what to change
...     print(error)
points must have shape (N, D), not (2,).
"""


class InputError(ValueError):
    """Invalid input; its message says what came, and what to change.

    Every other exception is a mistake of the program, and keeps its traceback. NumPy's
    LinAlgError is a ValueError, too, but never one of these.
    """


class EngineLost(Exception):
    """What held the points is gone, such as workers; the message is a sentence that says what."""
