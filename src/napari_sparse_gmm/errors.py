"""The one error that is meant for whoever gives the input.

>>> try:
...     model.fit(points)
... except InputError as error:
...     print(error)  # what came, and what to change
"""


class InputError(ValueError):
    """Input of no use; its message says what came, and what to change.

    Every other exception is a mistake of the program, and keeps its traceback. NumPy's
    LinAlgError is a ValueError, too, but never one of these.
    """
