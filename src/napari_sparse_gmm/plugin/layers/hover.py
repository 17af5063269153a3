"""What napari's status bar tells of the ellipse under the pointer; of shapes it tells a number."""

import re
from typing import Any

from napari.layers import Shapes

# A standard deviation along one of the axes of a component, with its unit.
_STD = re.compile(r"std(?:_(?:major|middle|minor|\d+))?(?: \[(.*)\])?")


def tell_of_components(layer: Shapes) -> None:
    """Have the status of a layer of ellipses tell of the component under the pointer."""
    of_shapes = layer.get_status

    def get_status(position: Any = None, **how: Any) -> dict[str, str]:
        status: dict[str, str] = of_shapes(position, **how)
        how.pop("value", None)
        index = None if position is None else (layer.get_value(position, **how) or (None,))[0]
        if index is not None and index < len(layer.features):
            row = {name: column.iloc[index] for name, column in layer.features.items()}
            told = described(row)
            for name in ("coordinates", "value"):
                status[name] = f"{status[name]}; {told}"
        return status

    layer.get_status = get_status


def described(row: dict[str, Any]) -> str:
    """A component in a few words, from its row of the table: points, size, and evidence.

    >>> row = {"component": 3, "expected_points": 41.2}
    >>> described({**row, "std_major [nm]": 20.31, "std_minor [nm]": 9.9})
    'component 3: 41 points, 20.3 x 9.9 nm'
    """
    words = [f"{row['expected_points']:,.0f} points"] if "expected_points" in row else []
    stds = {name: found for name in row if (found := _STD.fullmatch(name))}
    if stds:
        unit = next(iter(stds.values()))[1] or ""
        words.append(f"{' x '.join(f'{row[name]:.3g}' for name in stds)} {unit}".rstrip())
    words += [f"{name} {row[name]:.3g}" for name in row if name.startswith("evidence")]
    return f"component {row.get('component', '')}: {', '.join(words)}"
