"""Amounts in cents or dollars, as text, and as integer nano-dollars. Never a float."""

import re
from decimal import Decimal

from antiphon.core.limits.values import LARGEST_SPEND

_DECIMALS = 7
NANO_DOLLARS_PER_CENT = 10**_DECIMALS
NANO_DOLLARS_PER_DOLLAR = 10**9
LARGEST_DOLLARS = LARGEST_SPEND // NANO_DOLLARS_PER_DOLLAR

_NANO_DOLLAR = Decimal("1E-9")

_AMOUNT = re.compile(r"([0-9]+)(?:\.([0-9]+))?")
_MOST_DIGITS = len(str(LARGEST_SPEND))


def cents(nano_dollars: int) -> str:
    """Write an amount in cents, exactly.

    >>> cents(1_237_891_200)
    '123.78912'
    """
    whole, rest = divmod(abs(nano_dollars), NANO_DOLLARS_PER_CENT)
    fraction = f".{rest:07}".rstrip("0") if rest else ""
    return f"{'-' if nano_dollars < 0 else ''}{whole}{fraction}"


def dollars(nano_dollars: int) -> str:
    """Write an amount in dollars: with cents, or with all its decimals.

    >>> dollars(1_500_000_000)
    '1.50'
    >>> dollars(-100_000)
    '-0.0001'
    """
    whole, rest = divmod(abs(nano_dollars), NANO_DOLLARS_PER_DOLLAR)
    fraction = f"{rest:09}".rstrip("0")
    return f"{'-' if nano_dollars < 0 else ''}{whole}.{fraction:0<2}"


def nano_dollars_of(text: str) -> int:
    """Read an amount in cents. Raises `ValueError`, with a sentence, for any other text.

    >>> nano_dollars_of("12.5")
    125000000
    """
    found = _AMOUNT.fullmatch(text)
    if found is None:
        raise ValueError("Input should be an amount in cents, such as '50000' or '12.5'")
    whole, fraction = found[1].lstrip("0"), (found[2] or "").rstrip("0")
    # The length first: converting a million digits would take long.
    if len(whole) > _MOST_DIGITS or (amount := _exactly(whole, fraction)) > LARGEST_SPEND:
        most = cents(LARGEST_SPEND)
        raise ValueError(f"Input should be less than or equal to {most} cents")
    if len(fraction) > _DECIMALS:
        raise ValueError(f"Input should have at most {_DECIMALS} decimals")
    return amount


def nano_dollars_of_dollars(dollars: Decimal) -> int:
    """Convert dollars, exactly or not at all.

    Raises `ValueError` with a sentence that fits after the name of the field.
    """
    if not dollars.is_finite() or not 0 <= dollars <= LARGEST_DOLLARS:
        raise ValueError(f"must be between 0 and {LARGEST_DOLLARS} US dollars")
    rounded = dollars.quantize(_NANO_DOLLAR)
    if rounded != dollars:
        raise ValueError("must be a whole number of nano-dollars: 9 decimals at most")
    return int(rounded * NANO_DOLLARS_PER_DOLLAR)


def _exactly(whole: str, fraction: str) -> int:
    """Return the whole nano-dollars of an amount; further decimals are cut off."""
    return int(whole + fraction[:_DECIMALS].ljust(_DECIMALS, "0"))
