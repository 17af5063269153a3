"""Units by their names, with pint as the second opinion."""

import pint
import pytest

from napari_sparse_gmm.io.units import same_unit, unit_named

REGISTRY = pint.get_application_registry()
SYMBOLS = "nm µm pm mm cm m km Mm Å s ms min h d Hz rad deg in V mV g µg mol K eV l"


@pytest.mark.parametrize("symbol", SYMBOLS.split())
def test_symbols_mean_what_they_mean_to_pint(symbol: str) -> None:
    name = unit_named(symbol)
    assert name == str(REGISTRY.parse_units(symbol))
    assert unit_named(name) == name
    assert unit_named(f"{REGISTRY.parse_units(symbol):~P}") == name


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("um", "micrometer"),
        ("\u00b5m", "micrometer"),
        ("\u03bcm", "micrometer"),
        ("Microns", "micrometer"),
        ("nanometres", "nanometer"),
        ("NANOMETER", "nanometer"),
        ("\u212b", "angstrom"),
        ("angstroms", "angstrom"),
        ("pixels", "pixel"),
        (" pix ", "pixel"),
        ("us", "microsecond"),
    ],
)
def test_usual_spellings(spelling: str, name: str) -> None:
    assert unit_named(spelling) == name
    assert same_unit(spelling, name)


@pytest.mark.parametrize(
    "text", ["", "furlongs", "9**9**9", "1/0", "nm**2", "nm ", "n m", "nm" * 10**6], ids=len
)
def test_everything_else_is_none(text: str) -> None:
    assert unit_named(text) == ("nanometer" if text == "nm " else None)


def test_the_same_unit() -> None:
    assert same_unit("furlong", "furlong")
    assert not same_unit("nm", "µm")
    assert not same_unit("furlong", "frob")
