"""Units as files spell them: one of a list, never an expression that something would work out.

>>> unit_named("µm"), unit_named("Nanometres"), unit_named("9**9**9")
('micrometer', 'nanometer', None)
>>> length_in("µm", "nm"), length_in("pixel", "nm")
(1000.0, None)
"""

# The names are those that pint has, and with it napari.
_PREFIXES = {
    "quetta": "Q",
    "ronna": "R",
    "yotta": "Y",
    "zetta": "Z",
    "exa": "E",
    "peta": "P",
    "tera": "T",
    "giga": "G",
    "mega": "M",
    "kilo": "k",
    "hecto": "h",
    "deca": "da",
    "": "",
    "deci": "d",
    "centi": "c",
    "milli": "m",
    "micro": "µ",
    "nano": "n",
    "pico": "p",
    "femto": "f",
    "atto": "a",
    "zepto": "z",
    "yocto": "y",
    "ronto": "r",
    "quecto": "q",
}
# What prefixes stand before, with its symbol.
_PREFIXED = {
    "meter": "m",
    "second": "s",
    "hertz": "Hz",
    "gram": "g",
    "mole": "mol",
    "molar": "M",
    "kelvin": "K",
    "volt": "V",
    "ampere": "A",
    "electron_volt": "eV",
}
_PLAIN = {
    "angstrom": ("Å", "ångström"),
    "micrometer": ("micron",),
    "pixel": ("px", "pix"),
    "css_pixel": (),
    "inch": ("in",),
    "minute": ("min",),
    "hour": ("h", "hr"),
    "day": ("d",),
    "radian": ("rad",),
    "degree": ("deg", "°"),
    "liter": ("l", "L"),
    "dimensionless": (),
}

# Names in either case, and symbols, whose case tells a megametre from a millimetre.
_NAMES = {
    (prefix + name).casefold(): prefix + name for prefix in _PREFIXES for name in _PREFIXED
} | {
    spelling.casefold(): name
    for name, spellings in _PLAIN.items()
    for spelling in (name, *spellings)
    if spelling == name or len(spelling) > 3
}
_SYMBOLS = {
    sign + symbol: prefix + name
    for prefix, sign in _PREFIXES.items()
    for name, symbol in _PREFIXED.items()
} | {symbol: name for name, symbols in _PLAIN.items() for symbol in symbols}

# The symbol of each name, the first one of several.
_SHORT = {name: symbol for symbol, name in reversed(_SYMBOLS.items())}

# How many powers of ten a unit of length has, in metres.
_POWERS = {
    **{prefix + "meter": power for prefix, power in (("", 0), ("centi", -2), ("deci", -1))},
    **{
        prefix + "meter": -3 * (n + 1)
        for n, prefix in enumerate(("milli", "micro", "nano", "pico", "femto"))
    },
    "kilometer": 3,
    "angstrom": -10,
}

# Two signs for the same letter, twice, and what there is in place of the first.
_LETTERS = str.maketrans({"\u03bc": "µ", "\u212b": "Å"})
_LONGEST = 32


def unit_named(spelling: str | None) -> str | None:
    """The name of a unit that may be spelt by its symbol, in the plural or with "metre"; or None.

    A length may have "u" for µ.
    """
    if spelling is None or len(spelling) > _LONGEST:
        return None
    text = spelling.strip().translate(_LETTERS)
    if found := _SYMBOLS.get("µ" + text[1:] if text.startswith("u") else text):
        return found
    name = text.casefold().replace("metre", "meter")
    return _NAMES.get(name) or _NAMES.get(name.removesuffix("s"))


def symbol_of(spelling: str | None) -> str | None:
    """The symbol of a unit, as "nm" of "nanometer"; None of what is no unit."""
    name = unit_named(spelling)
    return None if name is None else _SHORT.get(name, name)


def length_in(spelling: str | None, other: str | None) -> float | None:
    """How many of another unit of length one is; None where one of both is no length."""
    powers = [_POWERS.get(unit_named(unit) or "") for unit in (spelling, other)]
    if powers[0] is None or powers[1] is None:
        return None
    # 10.0**-3 is not the number nearest to 0.001; this is.
    return float(f"1e{powers[0] - powers[1]}")


def same_unit(one: str, other: str) -> bool:
    """Whether two spellings mean the same."""
    return one == other or (unit_named(one) or one) == (unit_named(other) or other)
