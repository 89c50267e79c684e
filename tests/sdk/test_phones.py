"""French numbers go both ways; what is not surely French stays as it is."""

from __future__ import annotations

import pytest

from hub.sdk.phones import international, national


@pytest.mark.parametrize(
    "phone", ["+33012345678", "+3361234567", "+336123456789", "0612", "", "+33６12345678"]
)
def test_only_whole_french_numbers_are_made_national(phone):
    assert national(phone) == phone


@pytest.mark.parametrize(
    "written", ["06 12 34 56 78", "0612345678", "612345678", "06.12.34.56.78", "06-12-34-56-78"]
)
def test_french_spellings_become_one(written):
    assert international(written) == "+33612345678"
    assert national(international(written)) == "0612345678"


@pytest.mark.parametrize("phone", ["+32470123456", "0012345678", "12", "", "0６12345678"])
def test_what_is_not_surely_french_stays(phone):
    assert international(phone) == phone
