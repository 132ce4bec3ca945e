"""How numbers are rounded and written: one rule for the contract, document and screen."""

from __future__ import annotations

DECIMALS = 3


def rounded(value: float) -> int | float:
    """`value` with three decimals at most, as an integer if that loses nothing.

    >>> rounded(240.0), rounded(0.17180386), rounded(-0.0001)
    (240, 0.172, 0)
    """
    number = round(float(value), DECIMALS)
    return int(number) if number.is_integer() else number


def optional(value: float | None) -> int | float | None:
    """`rounded(value)`, or None where nothing was measured."""
    return None if value is None else rounded(value)


def share(part: float, whole: float) -> int | float | None:
    """`part / whole`, rounded, or None where there is no whole.

    >>> share(240, 1397), share(1, 0)
    (0.172, None)
    """
    return rounded(part / whole) if whole > 0 else None


def stretch(seconds: float) -> str:
    """A time in hours, minutes or seconds, for a reader who wants its size.

    >>> stretch(87_120), stretch(780), stretch(9)
    ('24.2 hours', '13 minutes', '9 seconds')
    """
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 3600:.1f} hours" if seconds >= 7200 else f"{seconds / 60:.0f} minutes"


def grouped(value: float) -> str:
    """The rounded number with commas between thousands.

    >>> grouped(12500.0), grouped(0.1256)
    ('12,500', '0.126')
    """
    return f"{rounded(value):,}"


def percent(value: float) -> str:
    """A share as percent with one decimal at most; never 0 % or 100 % by rounding alone.

    >>> percent(0.1718), percent(1.0), percent(0.9999), percent(0.0001)
    ('17.2 %', '100 %', '> 99.9 %', '< 0.1 %')
    """
    if 0 < value < 0.0005:
        return "< 0.1 %"
    if 0.9995 <= value < 1:
        return "> 99.9 %"
    return f"{rounded(round(value * 100, 1))} %"
