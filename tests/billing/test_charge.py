"""Charges: the table's columns in order, and mended so that any database takes them."""

from __future__ import annotations

import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from penstock.billing.charge import Charge, mended

KINDS = {
    str: st.text(st.characters()),
    str | None: st.none() | st.text(st.characters()),
    int: st.integers(),
    bool: st.booleans(),
    tuple[tuple[str, int], ...]: st.lists(st.tuples(st.text(max_size=5), st.integers(0, 2**62))).map(tuple),
}
charges = st.builds(Charge, **{field.name: KINDS[field.type] for field in msgspec.structs.fields(Charge)})
SMALL = {"status", "upload_ms", "first_byte_ms", "duration_ms", "attempts"}


def fits(name: str, value: object) -> bool:
    if name == "draws":
        return True  # of our own making, and no column
    if isinstance(value, str):
        return "\0" not in value and value.encode(errors="replace").decode() == value
    bound = 2**31 if name in SMALL else 2**63
    return value is None or -bound <= value < bound


def test_a_sound_charge_stays_as_it_is(new_charge):
    charge = new_charge(model="名前 😀", cost_nano=2**63 - 1, extra_usage=None)
    assert mended(charge) == charge


@given(charges)
def test_a_mended_charge_fits_its_columns(charge):
    sound = mended(charge)
    assert all(fits(name, value) for name, value in msgspec.structs.asdict(sound).items())
    assert mended(sound) == sound
    assert all(fits(name, value) is False for name, value in msgspec.structs.asdict(charge).items() if value != getattr(sound, name))
    assert sound.draws == charge.draws


@given(charges)
def test_a_mended_charge_survives_json(charge):
    sound = mended(charge)
    assert msgspec.json.decode(msgspec.json.encode(sound), type=Charge) == sound


def test_what_should_not_happen_is_mended_too(new_charge):
    sound = mended(new_charge(wire=None, status=None, key_id=7, cost_nano=-(2**70), streamed=1))
    assert (sound.wire, sound.status, sound.key_id, sound.cost_nano, sound.streamed) == ("", 0, "7", -(2**63), True)
    assert json.loads(msgspec.json.encode(sound))["streamed"] is True


def test_half_a_surrogate_pair_and_nul_are_replaced(new_charge):
    assert mended(new_charge(model="a\0b\ud800c")).model == "a\N{REPLACEMENT CHARACTER}b?c"
