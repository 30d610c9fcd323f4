"""Limits: how they are kept, and what may be changed into them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.kit.errors import PenstockError
from penstock.kit.limits import CAPS, GREATEST, RATES, Limits, change_limits, read_limits, write_limits

counts = st.none() | st.integers(0, GREATEST)
changes = st.dictionaries(st.sampled_from((*CAPS, *RATES)), counts)


@given(changes, changes)
def test_what_is_changed_is_changed_and_nothing_else(first: dict[str, Any], then: dict[str, Any]) -> None:
    limits = change_limits(change_limits(Limits(), first), then)
    expected = {**first, **then}
    assert {name: getattr(limits, name) for name in (*CAPS, *RATES)} == {name: expected.get(name) for name in (*CAPS, *RATES)}
    assert read_limits(write_limits(limits)) == limits
    assert limits.any == any(value is not None for value in expected.values())


def test_none_are_kept_as_nothing() -> None:
    assert write_limits(Limits()) == {}
    assert read_limits(None) == read_limits({}) == Limits()


def test_the_window() -> None:
    assert change_limits(Limits(), {"window": "rolling"}).window == "rolling"
    assert not change_limits(Limits(), {"window": "rolling"}).any


@pytest.mark.parametrize("value", [-1, GREATEST + 1, 1.5, 1.0, True, "1", [], {}])
@pytest.mark.parametrize("name", [*CAPS, *RATES])
def test_what_is_no_limit(name: str, value: Any) -> None:
    with pytest.raises(PenstockError, match="whole number") as refused:
        change_limits(Limits(), {name: value})
    assert (refused.value.code, refused.value.param) == ("invalid_request", f"limits.{name}")


@pytest.mark.parametrize("window", [None, "", "monthly", 1, ["rolling"]])
def test_what_is_no_window(window: Any) -> None:
    with pytest.raises(PenstockError, match="calendar"):
        change_limits(Limits(), {"window": window})


def test_names_that_are_none() -> None:
    with pytest.raises(PenstockError, match="no such limit") as refused:
        change_limits(Limits(), {"rps": 1})
    assert refused.value.param == "limits.rps"
    with pytest.raises(msgspec.ValidationError):
        read_limits({"rps": 1})
