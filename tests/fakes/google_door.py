"""A door of Google's on loopback: answers each request with what the test has put there, and keeps what it was sent."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class GoogleDoor:
    """What it answers, and what it has heard: paths with their queries, and bodies."""

    status: int = 200
    content_type: str = "application/json"
    body: bytes = b"{}"
    url: str = ""
    heard: list[tuple[str, bytes]] = field(default_factory=list)

    def answers(self, body: bytes, *, status: int = 200, streams: bool = False) -> None:
        """From now on this is the answer."""
        self.body, self.status, self.content_type = body, status, "text/event-stream" if streams else "application/json"


class GoogleServer:
    """Runs a `GoogleDoor` in a thread, as a context manager."""

    def __init__(self) -> None:
        door = self.door = GoogleDoor()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                door.heard.append((self.path, self.rfile.read(length)))
                self.send_response(door.status)
                self.send_header("content-type", door.content_type)
                self.send_header("content-length", str(len(door.body)))
                self.end_headers()
                self.wfile.write(door.body)

            def do_GET(self) -> None:
                self.do_POST()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its name there
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        door.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> GoogleDoor:
        self._thread.start()
        return self.door

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
