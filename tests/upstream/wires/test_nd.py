from __future__ import annotations

import pytest

from penstock.kit.errors import PenstockError
from penstock.upstream.usage import Usage
from penstock.upstream.wires.nd import WIRE


def test_a_model_may_be_named():
    ask = WIRE.peek(b'{"model":"nd-imagine-v4","prompt":"1girl","n":"2"}')
    assert (ask.model, ask.quantity, ask.output_cap) == ("nd-imagine-v4", Usage(images=2), 0)
    assert WIRE.peek(b'{"prompt":"1girl"}').model == "nd-imagine-v3"


def test_a_body_that_is_none():
    for body in (b"", b"prompt=a", b'{"model":5}'):
        with pytest.raises(PenstockError):
            WIRE.peek(body)
