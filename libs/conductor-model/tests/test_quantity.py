"""Quantities are exact, totally ordered, and written as Kubernetes writes them."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conductor_model.meta import Model
from conductor_model.quantity import Quantity

DECIMAL_POWERS = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
BINARY_POWERS = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
FACTORS = {
    **{suffix: Fraction(10) ** power for suffix, power in DECIMAL_POWERS.items()},
    **{suffix: Fraction(1024) ** power for suffix, power in BINARY_POWERS.items()},
    **{f"e{power}": Fraction(10) ** power for power in range(-9, 19)},
    **{f"E+{power}": Fraction(10) ** power for power in range(10)},
}


@st.composite
def written_quantities(draw: st.DrawFn) -> tuple[str, Fraction]:
    """A quantity's text and the amount that it stands for, before rounding to whole nanos."""
    sign = draw(st.sampled_from(["", "-", "+"]))
    whole = draw(st.integers(0, 10**9))
    digits = draw(st.text("0123456789", max_size=6))
    suffix = draw(st.sampled_from(sorted(FACTORS)))
    number = f"{whole}.{digits}" if digits else str(whole)
    amount = Fraction(Decimal(number)) * FACTORS[suffix]
    return f"{sign}{number}{suffix}", -amount if sign == "-" else amount


def rounded_away_from_zero(amount: Fraction) -> Fraction:
    nanos = -(-abs(amount) * 10**9 // 1)
    return Fraction(int(nanos) if amount >= 0 else -int(nanos), 10**9)


quantities = written_quantities().map(lambda written: Quantity.parse(written[0]))


@given(written_quantities())
def test_value_is_exact_to_the_nano(written: tuple[str, Fraction]) -> None:
    text, amount = written
    assert Quantity.parse(text).value == rounded_away_from_zero(amount)


@given(quantities, quantities)
def test_ordering_agrees_with_exact_fractions(one: Quantity, other: Quantity) -> None:
    assert (one < other) == (one.value < other.value)
    assert (one <= other) == (one.value <= other.value)
    assert (one == other) == (one.value == other.value)


@given(quantities)
def test_canonical_text_stands_for_the_same_quantity(quantity: Quantity) -> None:
    again = Quantity.parse(str(quantity))
    assert again == quantity
    assert hash(again) == hash(quantity)


@given(quantities)
def test_canonical_text_is_canonical_already(quantity: Quantity) -> None:
    assert str(Quantity.parse(str(quantity))) == str(quantity)


@given(quantities)
def test_canonical_text_has_no_fractional_digits(quantity: Quantity) -> None:
    assert "." not in str(quantity)


@given(quantities, quantities)
def test_sums_and_differences_are_exact(one: Quantity, other: Quantity) -> None:
    assert (one + other).value == one.value + other.value
    assert (one - other).value == one.value - other.value


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("25Gi", "25Gi"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("1536", "1536"),
        ("1023", "1023"),
        ("1000", "1k"),
        ("0.5", "500m"),
        (".5Gi", "512Mi"),
        ("0.5Ki", "512"),
        ("100m", "100m"),
        ("1000m", "1"),
        ("1e3", "1e3"),
        ("1E3", "1e3"),
        ("1E", "1E"),
        ("12e6", "12e6"),
        ("1200e-3", "1200e-3"),
        ("+1Ki", "1Ki"),
        ("-1024Ki", "-1Mi"),
        ("0Gi", "0"),
        ("0.0000000001", "1n"),
        ("-0.0000000001", "-1n"),
        ("1.", "1"),
    ],
)
def test_canonical_form_is_that_of_apimachinery(written: str, canonical: str) -> None:
    assert str(Quantity.parse(written)) == canonical


def test_binary_quantity_that_is_no_whole_number_keeps_its_amount() -> None:
    quantity = Quantity.parse("1.0001Ki")
    assert quantity.value == Fraction("1024.1024")
    assert Quantity.parse(str(quantity)) == quantity


@pytest.mark.parametrize(
    ("number", "canonical"),
    [(25, "25"), (2.5, "2500m"), (1e-7, "100n"), (Decimal("0.1"), "100m"), (10**6, "1M")],
)
def test_numbers_are_read_as_they_are_written(number: int | float | Decimal, canonical: str) -> None:
    assert str(Quantity.parse(number)) == canonical


@pytest.mark.parametrize(
    "nonsense",
    [
        "",
        "Gi",
        "25gi",
        "25 Gi",
        "2,5Gi",
        "1ki",
        "1K",
        "e3",
        "5e",
        "1e3Gi",
        "--1",
        "1.2.3",
        "1e999",
        "nan",
        "9" * 60,
        "25Gi\n",
        "٢Gi",
    ],
)
def test_nonsense_is_refused_with_what_a_quantity_is(nonsense: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity: a quantity is a number and a suffix"):
        Quantity.parse(nonsense)


@pytest.mark.parametrize("nonsense", [True, None, [], float("nan"), float("inf")])
def test_what_is_neither_text_nor_number_is_refused(nonsense: object) -> None:
    with pytest.raises(ValueError, match="is not a quantity"):
        Quantity.parse(nonsense)  # type: ignore[arg-type]


def test_quantity_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Quantity.parse("1Gi").nanos = 0  # type: ignore[misc]


class Disk(Model):
    size: Quantity


def test_models_read_quantities_from_json_and_write_the_canonical_form() -> None:
    assert Disk.model_validate_json('{"size": "1024Mi"}') == Disk(size=Quantity.parse("1Gi"))
    assert Disk.model_validate_json('{"size": 25}').size == Quantity.parse("25")
    assert Disk(size=Quantity.parse("1024Mi")).model_dump(mode="json") == {"size": "1Gi"}
