from __future__ import annotations

import pytest

from penstock.upstream.usage import Usage
from penstock.upstream.wires.workers_embeddings import WIRE


@pytest.mark.parametrize(
    ("body", "usage", "estimated"),
    [
        (b'{"data":[],"usage":{"prompt_tokens":7,"total_tokens":7}}', Usage(input_tokens=7), False),
        (b'{"result":{"data":[],"usage":{"prompt_tokens":7}},"success":true}', Usage(input_tokens=7), False),
        (b'{"result":{"data":[[1.5]]},"success":true}', Usage(input_tokens=100), True),
        (b'{"result":null,"success":false,"errors":[{"code":5007}]}', Usage(calls=0), False),
        (b"<html>", Usage(input_tokens=100), True),
    ],
)
def test_usage(ask, body, usage, estimated):
    assert WIRE.read(body, ask()) == (usage, estimated)


def test_no_client_speaks_it():
    assert WIRE.paths == ()
