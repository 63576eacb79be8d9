"""Amounts on the wire: cents as decimal strings, here as integer nano-dollars. Never a float."""

from decimal import Decimal, InvalidOperation

from antiphon.core.admission import LARGEST_SPEND

NANO_DOLLARS_PER_CENT = 10**7


def cents(nano_dollars: int) -> str:
    """Write an amount in cents, exactly.

    >>> cents(1_237_891_200)
    '123.78912'
    """
    whole, rest = divmod(abs(nano_dollars), NANO_DOLLARS_PER_CENT)
    fraction = f".{rest:07}".rstrip("0") if rest else ""
    return f"{'-' if nano_dollars < 0 else ''}{whole}{fraction}"


def nano_dollars_of(text: str) -> int:
    """Read an amount in cents. Raises `ValueError`, with a sentence, for what cannot be one."""
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or not text.replace(".", "", 1).isdecimal() or not text.isascii():
        raise ValueError("Input should be an amount in cents, such as '50000' or '12.5'")
    nano_dollars = amount * NANO_DOLLARS_PER_CENT
    if nano_dollars > LARGEST_SPEND:
        most = cents(LARGEST_SPEND)
        raise ValueError(f"Input should be less than or equal to {most} cents")
    if nano_dollars != int(nano_dollars):
        raise ValueError("Input should have at most 7 decimals")
    return int(nano_dollars)
