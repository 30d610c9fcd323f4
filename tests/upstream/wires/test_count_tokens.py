from __future__ import annotations

import pytest

from penstock.kit.errors import PenstockError
from penstock.upstream.usage import Usage
from penstock.upstream.wires.count_tokens import WIRE
from penstock.upstream.wires.wire import Ask


def test_counting_needs_a_model_and_no_cap():
    body = b'{"model":"claude-sonnet-4-5","messages":[]}'
    assert WIRE.peek(body) == Ask(model="claude-sonnet-4-5", output_cap=0)
    assert WIRE.prepare(body, WIRE.peek(body), "other") == b'{"model":"other","messages":[]}'
    with pytest.raises(PenstockError) as caught:
        WIRE.peek(b'{"messages":[]}')
    assert caught.value.code == "missing_model"


def test_counting_costs_nothing(ask):
    assert WIRE.read(b'{"input_tokens":2095}', ask()) == (Usage(calls=0), False)
    assert WIRE.dialect.name == "anthropic"
