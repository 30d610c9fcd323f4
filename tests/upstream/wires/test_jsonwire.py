from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.kit.errors import PenstockError
from penstock.upstream.usage import Usage
from penstock.upstream.wires.jsonwire import JsonWire
from penstock.upstream.wires.wire import Ask

WIRE = JsonWire()


class FormWire(JsonWire):
    """Takes forms as well."""

    accepts_forms = True


def test_facts():
    body = b'{"model":"m","stream":true,"max_tokens":5}'
    assert WIRE.peek(body) == Ask(model="m", stream=True, output_cap=5, input_size=len(body))


def test_forms_are_refused():
    with pytest.raises(PenstockError) as caught:
        WIRE.peek_form({"model": "m"}, 5)
    assert (caught.value.code, caught.value.status) == ("invalid_json", 400)


def test_nothing_changes_where_nothing_is_to_change():
    body = b'{"model":"m"}'
    for model in (None, "m"):
        assert WIRE.prepare(body, WIRE.peek(body), model) is body


@settings(deadline=None)
@given(st.text(min_size=1, max_size=8).filter(lambda text: text < "\ud800" or text > "\udfff"))
def test_any_name_can_be_given(name):
    body = b'{"x":1,"model":"m"}'
    assert json.loads(WIRE.prepare(body, WIRE.peek(body), name)) == {"x": 1, "model": name}


def test_url_encoded_forms_are_renamed_in_place():
    wire = FormWire()
    assert wire.prepare(b"a=1&model=m&b=%20", Ask(model="m"), "n/1") == b"a=1&model=n%2F1&b=%20"
    assert wire.prepare(b'{"model":"m"}', Ask(model="m"), "n") == b'{"model":"n"}'


def test_answers():
    ask = Ask(model="m", input_size=400)
    assert WIRE.read(b'{"usage":{"prompt_tokens":1,"completion_tokens":2}}', ask) == (Usage(input_tokens=1, output_tokens=2), False)
    assert WIRE.read(b'{"error":"no"}', ask) == (Usage(calls=0), False)
    assert WIRE.read(b"{}", ask) == (Usage(input_tokens=100, output_tokens=1), True)
    assert WIRE.read(b"", ask) == (Usage(input_tokens=100), True)
