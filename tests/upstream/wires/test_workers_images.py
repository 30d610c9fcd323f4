from __future__ import annotations

import pytest

from fake_workers_ai import JPEG
from penstock.upstream.usage import Usage
from penstock.upstream.wires.workers_images import WIRE


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        (JPEG, Usage(images=1)),
        (b'{"result":{"image":"AAAA"},"success":true}', Usage(images=1)),
        (b'{"result":{},"success":true}', Usage(calls=0)),
        (b"", Usage(calls=0)),
    ],
)
def test_usage(ask, body, usage):
    assert WIRE.read(body, ask()) == (usage, False)


def test_no_client_speaks_it():
    assert WIRE.paths == () and not WIRE.accepts_forms
