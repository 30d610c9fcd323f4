"""Outcomes: the words that charges, records and metrics share."""

from __future__ import annotations

from penstock.relay import outcome
from penstock.relay.exchange import ClientGone, Stopping
from penstock.relay.outcome import CLIENT_GONE, OUTCOMES, STOPPED


def test_every_word_is_listed_once():
    words = [value for name, value in vars(outcome).items() if name.isupper() and isinstance(value, str)]
    assert sorted(OUTCOMES) == sorted(words)
    assert len(set(words)) == len(words)


def test_they_are_those_of_the_charge_table():
    words = {"complete", "client_gone", "upstream_died", "upstream_timeout", "upstream_error", "stopped", "out_of_funds", "interrupted"}
    assert set(OUTCOMES) == words


def test_interruptions_have_one():
    assert (ClientGone.outcome, Stopping.outcome) == (CLIENT_GONE, STOPPED)
