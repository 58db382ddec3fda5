"""Amounts of money are booked as they are written, or refused."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.money import MICRO, MOST_USD, AmountRefused, micro_of, usd, usd_text


@pytest.mark.parametrize(
    ("written", "micro"),
    [
        ("10", 10_000_000),
        ("0.1", 100_000),
        ("0.000001", 1),
        ("2.50", 2_500_000),
        ("1.2300000000", 1_230_000),
        (7, 7_000_000),
        (Decimal("0.3"), 300_000),
        (Decimal("1E+1"), 10_000_000),
        ("1000000", MOST_USD * MICRO),
    ],
)
def test_as_written(written: str | int | Decimal, micro: int) -> None:
    assert micro_of(written) == micro


@pytest.mark.parametrize(
    "written",
    [
        "", "ten", "1e3", "+1", " 1", "1 ", "1,5", "0x10", "\u0661\u0660", ".5", "5.", "--1", "NaN", "Infinity", "9" * 5000,
        "0", "0.0", "-1", "0.0000001", "1.0000005", "1000000.000001", 0, -3, 10**400,
        Decimal("NaN"), Decimal("-Infinity"), Decimal("1E+999999"), Decimal("-1E+999999999999999999"), Decimal("1E-999999"),
        Decimal("1." + "0" * 60 + "1"), "999999.00000000000000000001",
    ],
)  # fmt: skip
def test_refused_with_the_fields_name(written: str | int | Decimal) -> None:
    with pytest.raises(AmountRefused) as refused:
        micro_of(written, param="balance")
    assert refused.value.param == "balance"
    assert refused.value.message.startswith("balance: ")


def test_a_sign_only_where_it_makes_sense() -> None:
    assert micro_of("-2.5", signed=True) == -2_500_000
    with pytest.raises(AmountRefused, match="not be 0"):
        micro_of("-0", signed=True)


@given(st.integers(-MOST_USD * MICRO, MOST_USD * MICRO).filter(bool))
def test_text_and_numbers_read_back_as_the_same(micro: int) -> None:
    assert micro_of(usd_text(micro), signed=True) == micro
    assert micro_of(json.loads(json.dumps(usd(micro)), parse_float=Decimal), signed=True) == micro


def test_text_for_people() -> None:
    assert [usd_text(micro) for micro in (0, 1, 1250, 10_000_000, -1_500_000)] == [
        "0.00", "0.000001", "0.00125", "10.00", "-1.50",
    ]  # fmt: skip
