"""A gateway whose channels lead to one vendor, a channel for each protocol, and programs that talk through it."""

from __future__ import annotations

import contextlib
from typing import Any

from claude_talker import ClaudeTalker
from google_talker import GoogleTalker
from heard import Talker
from live_gateway import LiveGateway
from model_vendor import Asked, ModelVendor
from openai_talkers import AsyncChatTalker, ChatTalker, ResponsesTalker
from penstock.accounts.identity import CLI
from penstock.channels.drafts import Draft
from penstock.channels.service import Channels, Given

TALKERS: dict[str, Any] = {
    "chat": ChatTalker,
    "async-chat": AsyncChatTalker,
    "responses": ResponsesTalker,
    "messages": ClaudeTalker,
    "gemini": GoogleTalker,
}
WIRES = ("chat", "responses", "messages", "gemini")
SERVED = {"chat": "gpt-4o", "responses": "gpt-4.1", "messages": "claude-sonnet-4-5", "gemini": "gemini-2.5-flash"}
"""The model of each protocol, `by-` which it is asked for."""
THINKS = {"chat": "anthropic/claude-sonnet-4.5", "responses": "gpt-5", "messages": "claude-sonnet-4-5", "gemini": "gemini-3-pro-preview"}
"""The model of each that thinks, asked for as `thinks-`."""
PROVIDERS = {"chat": "openai", "responses": "openai", "messages": "anthropic", "gemini": "gemini"}
PAIRS = [(client, target) for client in TALKERS for target in WIRES]
"""Each program with each provider; where both speak the same, nothing is translated, which shows that the vendor does as vendors do."""
ACROSS = [(client, target) for client, target in PAIRS if client.removeprefix("async-") != target and client != "async-chat"]
"""Those that need a bridge."""


class BridgeStage:
    """The gateway, the vendor, and the programs."""

    def __init__(self, gateway: LiveGateway, vendor: ModelVendor, stack: contextlib.ExitStack) -> None:
        self.gateway = gateway
        self.vendor = vendor
        self._stack = stack
        self.rows = 0

    def talker(self, client: str, target: str, *, thinks: bool = False) -> Talker:
        """A program that asks for the model of the protocol `target`."""
        found: Talker = TALKERS[client](self.gateway, f"{'thinks' if thinks else 'by'}-{target}")
        self._stack.callback(found.close)
        return found

    def asked(self) -> Asked:
        """The last request that came to the vendor."""
        return self.vendor.asked[-1]

    def charge(self) -> dict[str, Any]:
        """The charge of the call that has just ended, and no other was made since the last look."""
        rows = self.gateway.charges()
        assert len(rows) == self.rows + 1
        self.rows += 1
        return rows[-1]

    def add(self, name: str, base_url: str, **more: Any) -> str:
        """Make a channel; its id. It serves when this returns."""
        return add_channel(self.gateway, name, base_url, **more)


def add_channel(gateway: LiveGateway, name: str, base_url: str, *, secrets: tuple[str, ...] = ("sk-vendor",), **more: Any) -> str:
    """Make a channel in a private network; its id. It serves when this returns."""
    service = Channels(gateway.parts.database, gateway.parts.secrets)
    draft = Draft(name=name, base_url=base_url, allow_private=True, **more)
    made = gateway.run(service.create(CLI, draft, [Given(secret, f"key-{number}") for number, secret in enumerate(secrets)]))
    assert gateway._until(lambda: sum(channel.name == name for channel in gateway.plane.channels) == len(secrets))
    found: str = made.row.id
    return found


def add_channels(gateway: LiveGateway, url: str) -> None:
    """A channel for each protocol, with a model that thinks and one that does not."""
    for wire in WIRES:
        base_url = url if wire in ("messages", "gemini") else f"{url}/v1"
        models = ((f"by-{wire}", SERVED[wire]), (f"thinks-{wire}", THINKS[wire]))
        if wire == "chat":
            add_channel(gateway, "chat-thinks", base_url, provider="openrouter", models=models[1:], wires=(wire,))
            models = models[:1]
        counts = {"messages": ("count_tokens",), "gemini": ("gemini_count",)}.get(wire, ())
        add_channel(gateway, wire, base_url, provider=PROVIDERS[wire], models=models, wires=(wire, *counts))
