"""CSV that every reader reads back as it was, and no spreadsheet runs."""

import csv
import io

import pytest

from infra.money.spreadsheet import csv_lines


@pytest.mark.parametrize(
    "text",
    ["=1+2", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "=cmd|' /C calc'!A0", "\uff1d1+2"],
)
def test_a_text_is_never_a_formula(text: str) -> None:
    ((cell,),) = csv.reader(io.StringIO(csv_lines([[text]]), newline=""))
    assert cell == "'" + text


def test_numbers_stay_numbers_and_nothing_is_empty() -> None:
    assert csv_lines([[-1, 0, 2**60, None, "a"]]) == "-1,0,1152921504606846976,,a\r\n"


@pytest.mark.parametrize("text", ["plain", "a,b", 'say "so"', "two\nlines", "Ünïcödé 音", "", "a=1", "sk-1"])
def test_the_rest_is_read_back_as_it_was(text: str) -> None:
    ((cell, last),) = csv.reader(io.StringIO(csv_lines([[text, "end"]]), newline=""))
    assert (cell, last) == (text, "end")


def test_what_no_file_can_hold_is_replaced() -> None:
    assert csv_lines([["a\0b\ud800"]]).encode() == b"ab?\r\n"
