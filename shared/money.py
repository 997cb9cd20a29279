"""Money: integer nano-dollars inside, US dollars as decimal text outside. Never a float.

A nano-dollar is a thousandth of a micro-dollar: one cached input token of the cheapest model costs 5 of them.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

NANOS = 1_000_000_000
"""Nano-dollars in a dollar."""
MOST_USD = Decimal(1_000_000_000)


def in_usd(nanos: int) -> str:
    """Exact decimal text without useless zeros: 70_000 -> `0.00007`, 2_500_000_000 -> `2.5`."""
    sign, whole = ("-", -nanos) if nanos < 0 else ("", nanos)
    dollars, rest = divmod(whole, NANOS)
    return f"{sign}{dollars}.{rest:09d}".rstrip("0").rstrip(".")


def from_usd(text: object) -> int:
    """Dollars, as text or number, in nano-dollars, rounded half up. Raises ValueError for no sensible amount."""
    try:
        amount = Decimal(str(text).strip())
    except InvalidOperation:
        raise ValueError(f"{text!r} is not an amount in US dollars") from None
    if not amount.is_finite() or not 0 <= amount <= MOST_USD:
        raise ValueError(f"{text!r} is not an amount in US dollars between 0 and {MOST_USD}")
    return int((amount * NANOS).to_integral_value(ROUND_HALF_UP))
