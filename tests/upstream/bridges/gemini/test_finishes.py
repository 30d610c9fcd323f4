from __future__ import annotations

from typing import get_args

import pytest
from google.genai import types

from penstock.upstream.bridges.conversation import Stop
from penstock.upstream.bridges.gemini import finishes


@pytest.mark.parametrize("reason", [reason.value for reason in types.FinishReason])
def test_every_reason_that_google_has(reason):
    stop = finishes.stop_of(reason, calls=False)
    assert stop in get_args(Stop)
    assert finishes.ended(reason) == (reason != "FINISH_REASON_UNSPECIFIED")
    if reason in ("STOP", "MAX_TOKENS", "SAFETY"):
        assert finishes.finish_of(stop) == reason
        assert not finishes.failed(reason)


def test_tools_end_with_stop():
    assert finishes.stop_of("STOP", calls=True) == "tools"
    assert finishes.finish_of("tools") == "STOP"
    assert finishes.failed("MALFORMED_FUNCTION_CALL")


@pytest.mark.parametrize("stop", get_args(Stop))
def test_every_stop_is_a_reason_of_googles(stop):
    assert types.FinishReason(finishes.finish_of(stop))
