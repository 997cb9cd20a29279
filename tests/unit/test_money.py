"""Money to text and back."""

from __future__ import annotations

import pytest

from shared.money import from_usd, in_usd


@pytest.mark.parametrize(
    ("nanos", "expect"),
    [
        (0, "0"),
        (5, "0.000000005"),
        (70_000, "0.00007"),
        (2_500_000_000, "2.5"),
        (10_000_000_000, "10"),
        (-1_500_000_000, "-1.5"),
        (9_007_199_254_740_993, "9007199.254740993"),
    ],
)
def test_dollars_are_exact(nanos: int, expect: str) -> None:
    assert in_usd(nanos) == expect
    if nanos >= 0:
        assert from_usd(expect) == nanos


@pytest.mark.parametrize(
    ("given", "expect"),
    [("0.0000000005", 1), ("0.0000000004", 0), (5, 5_000_000_000), (0.1, 100_000_000), (" 3 ", 3_000_000_000)],
)
def test_amounts_are_rounded_half_up(given: object, expect: int) -> None:
    assert from_usd(given) == expect


@pytest.mark.parametrize("given", ["", "five", "-1", "nan", "inf", "1e12", None, "1,5"])
def test_no_amount(given: object) -> None:
    with pytest.raises(ValueError, match="US dollars"):
        from_usd(given)
