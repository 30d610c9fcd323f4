"""What the tests of Gemini's side share: the official SDK, and a door of Google's that it calls."""

from __future__ import annotations

import pytest
from google import genai

from google_door import GoogleDoor, GoogleServer


@pytest.fixture
def door():
    with GoogleServer() as found:
        yield found


@pytest.fixture
def sdk(door: GoogleDoor):
    client = genai.Client(api_key="sk-test", http_options={"base_url": door.url})
    yield client
    client.close()
