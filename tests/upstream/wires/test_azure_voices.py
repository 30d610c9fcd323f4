from __future__ import annotations

from penstock.upstream.wires.azure_voices import WIRE


def test_every_request_is_one_call_of_one_model():
    for body in (b"", b'{"q":"cats","model":"other"}', b"{broken"):
        assert WIRE.peek(body).model == "azure-voices"
        assert WIRE.peek(body).quantity.calls == 1
