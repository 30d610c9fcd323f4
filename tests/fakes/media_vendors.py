"""Vendors of pictures, searches and voices on loopback: what they answer, and the ways in which they fail."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any
from urllib.parse import parse_qs, urlsplit

from fake_provider import Received
from penstock.upstream.demo.images import png
from vendor_server import SECRET, Reply, VendorServer

PICTURE = png(64, 64, b"fake")
VOICES = [
    {"ShortName": "en-US-AvaMultilingualNeural", "Gender": "Female", "Locale": "en-US", "VoiceType": "Neural", "Status": "GA"},
    {"ShortName": "zh-CN-YunxiNeural", "Gender": "Male", "Locale": "zh-CN", "VoiceType": "Neural", "Status": "GA"},
]
SOUND = b"\xff\xf3\x44\xc4" + b"sound" * 400


def zip_of(*files: tuple[str, bytes], packed: bool = False) -> bytes:
    """A zip with these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return buffer.getvalue()


class FakeReplicate(VendorServer):
    """Predictions. `looks`: how often one must be looked at before it is done; `ending` is what it becomes then."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0
        self.ending: dict[str, Any] = {}
        self.file = Reply(200, PICTURE, "image/png")
        self.begins_after_s = 0.0
        self.fails_from = 10**9
        """From the how many-th prediction on they cannot be begun."""
        self.missed_looks = 0
        """So many looks are answered with an error first."""
        self._left: dict[str, int] = {}
        self._inputs: dict[str, dict[str, Any]] = {}
        self.cancelled: list[str] = []

    def inputs(self) -> list[dict[str, Any]]:
        """What each prediction was told, in order."""
        return list(self._inputs.values())

    async def answer(self, request: Received) -> Reply:
        """Begin, look at, cancel a prediction, or fetch its picture."""
        if request.target.startswith("/files/"):
            return self.file
        if request.header("authorization") != f"Bearer {SECRET}".encode():
            return Reply.of({"title": "Unauthenticated", "detail": "You did not pass a valid authentication token", "status": 401}, 401)
        if request.target == "/v1/account":
            return Reply.of({"type": "organization", "username": "acme"})
        if request.target.endswith("/cancel"):
            self.cancelled.append(request.target.split("/")[3])
            return Reply.of(self._shown(self.cancelled[-1]) | {"status": "canceled"})
        if request.method == "POST":
            identity = f"pred{len(self._inputs)}"
            if len(self._inputs) >= self.fails_from:
                return Reply.of({"detail": "no more of these"}, 500)
            self._inputs[identity] = json.loads(request.body)["input"]
            self._left[identity] = self.looks
            return Reply.of(self._shown(identity), 201, after_s=self.begins_after_s)
        identity = request.target.split("/")[3]
        if self.missed_looks:
            self.missed_looks -= 1
            return Reply(502, b"<html>bad gateway</html>", "text/html")
        self._left[identity] -= 1
        return Reply.of(self._shown(identity))

    def _shown(self, identity: str) -> dict[str, Any]:
        about = {"id": identity, "urls": {"get": f"{self.url}/v1/predictions/{identity}"}, "output": None, "error": None}
        if self._left[identity] > 0:
            return about | {"status": "processing"}
        count = self._inputs[identity].get("num_outputs")
        urls = [f"{self.url}/files/{identity}-{number}.png" for number in range(count or 1)]
        return about | {"status": "succeeded", "output": urls if count else urls[0]} | self.ending


class FakeSerper(VendorServer):
    """A search by POST, with the key in a header."""

    async def answer(self, request: Received) -> Reply:
        """The results."""
        if request.header("x-api-key") != SECRET.encode():
            return Reply.of({"message": "Unauthorized.", "statusCode": 403}, 403)
        asked = json.loads(request.body)
        if (request.method, request.target) != ("POST", "/search") or not isinstance(asked.get("num", 10), int):
            return Reply.of({"message": "Bad request", "statusCode": 400}, 400)
        return Reply.of(
            {"searchParameters": asked, "organic": [{"title": "A", "link": "https://example.com", "position": 1}], "credits": 1}
        )


class FakeGoogle(VendorServer):
    """A search by GET, with the key in a header."""

    async def answer(self, request: Received) -> Reply:
        """The results."""
        url = urlsplit(request.target)
        query = parse_qs(url.query)
        if request.header("x-goog-api-key") != SECRET.encode():
            return Reply.of(
                {"error": {"code": 403, "message": "Method doesn't allow unregistered callers", "status": "PERMISSION_DENIED"}}, 403
            )
        if (request.method, url.path) != ("GET", "/customsearch/v1") or "cx" not in query or "key" in query:
            return Reply.of(
                {"error": {"code": 400, "message": "Request contains an invalid argument.", "errors": [{"reason": "badRequest"}]}}, 400
            )
        return Reply.of(
            {"kind": "customsearch#search", "queries": {"request": [query]}, "items": [{"title": "A", "link": "https://example.com"}]}
        )


class FakeAzureSpeech(VendorServer):
    """Sound for SSML, and the list of voices."""

    async def answer(self, request: Received) -> Reply:
        """What the region says."""
        if request.header("ocp-apim-subscription-key") != SECRET.encode():
            return Reply(401, b"", "text/plain")
        if (request.method, request.target) == ("GET", "/cognitiveservices/voices/list"):
            return Reply.of(VOICES)
        if not request.header("user-agent") or not request.header("x-microsoft-outputformat"):
            return Reply(400, b"a header is missing", "text/plain")
        if request.header("content-type") != b"application/ssml+xml":
            return Reply(415, b"", "text/plain")
        return Reply(200, SOUND, "audio/mpeg")


class FakeNovelAI(VendorServer):
    """A zip of pictures; `content` is what is sent instead."""

    def __init__(self) -> None:
        super().__init__()
        self.content: bytes | None = None

    async def answer(self, request: Received) -> Reply:
        """The zip."""
        if request.header("authorization") != f"Bearer {SECRET}".encode():
            return Reply.of({"statusCode": 401, "message": "Invalid accessToken."}, 401)
        asked = json.loads(request.body)
        if (request.method, request.target, asked["action"]) != ("POST", "/ai/generate-image", "generate"):
            return Reply.of({"statusCode": 400, "message": "no such thing"}, 400)
        files = [(f"image_{number}.png", PICTURE) for number in range(asked["parameters"]["n_samples"])]
        return Reply(201, self.content if self.content is not None else zip_of(*files), "application/x-zip-compressed")
