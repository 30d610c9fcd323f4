"""A model on loopback that writes one file: it speaks chat completions, asks for a tool once, and says that it is done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fake_answers import DONE, chat_chunk, chat_usage
from fake_provider import Received
from vendor_server import Reply, VendorServer

CONTENT = "made over a bridge\n"
DONE_WORDS = "I have written the file."


class Coder(VendorServer):
    """Writes `CONTENT` into `path` with whichever tool a program offers for that. `called` are the names of those it has used."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.called: list[str] = []
        self.results: list[str] = []
        """What the tools gave."""

    async def answer(self, request: Received) -> Reply:
        """A chat, or 404."""
        if request.target != "/v1/chat/completions":
            return Reply.of({"error": {"message": "There is nothing here.", "type": "invalid_request_error"}}, 404)
        asked = json.loads(request.body)
        results = [message["content"] for message in asked["messages"] if message["role"] == "tool"]
        offered = {tool[tool["type"]]["name"] for tool in asked.get("tools", ())}
        call = self._call(offered)
        if results or call is None:
            self.results += [result if isinstance(result, str) else json.dumps(result) for result in results]
            deltas, reason = [{"content": DONE_WORDS[at : at + 5]} for at in range(0, len(DONE_WORDS), 5)], "stop"
        else:
            deltas, reason = _called(*call), "tool_calls"
            self.called.append(call[0])
        if not asked.get("stream"):
            return Reply.of(_whole(deltas, reason))
        events = [chat_chunk({"role": "assistant", "content": None}), *map(chat_chunk, deltas), chat_chunk({}, reason), chat_usage(), DONE]
        return Reply(200, b"".join(events), "text/event-stream")

    def _call(self, offered: set[str]) -> tuple[str, dict[str, Any]] | None:
        patch = f"*** Begin Patch\n*** Add File: {self.path.name}\n+{CONTENT}*** End Patch\n"
        ways: dict[str, dict[str, Any]] = {
            "Write": {"file_path": str(self.path), "content": CONTENT},
            "write_file": {"file_path": str(self.path), "content": CONTENT},
            "apply_patch": {"input": patch},
            "functions__exec": {"input": f"text(await tools.apply_patch({json.dumps(patch)}));"},
            "exec_command": {"cmd": f"printf '{CONTENT.strip()}\\n' > {self.path.name}"},
            "shell": {"command": ["sh", "-c", f"printf '{CONTENT.strip()}\\n' > {self.path.name}"]},
        }
        return next(((name, arguments) for name, arguments in ways.items() if name in offered), None)


def _called(name: str, arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """A call, its arguments in pieces."""
    text = json.dumps(arguments)
    begun = {"index": 0, "id": "call_made000001", "type": "function", "function": {"name": name, "arguments": ""}}
    pieces = [{"index": 0, "function": {"arguments": text[at : at + 9]}} for at in range(0, len(text), 9)]
    return [{"tool_calls": [one]} for one in (begun, *pieces)]


def _whole(deltas: list[dict[str, Any]], reason: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": "".join(delta.get("content", "") for delta in deltas) or None}
    about = {"id": "chatcmpl-fake", "object": "chat.completion", "created": 1_790_000_000, "model": "coder"}
    usage = {"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29}
    return about | {"choices": [{"index": 0, "message": message, "finish_reason": reason}], "usage": usage}
