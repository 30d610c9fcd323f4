"""A real mail server on loopback that keeps what it is given."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

USER, PASSWORD = "gateway", "hunter22"
LINK = re.compile(r"\S+/(\S+)#(\w+)")


class MailServer:
    """What was delivered, in the order in which it came. `refuses` are recipients that it does not know."""

    def __init__(self) -> None:
        self.port = 0
        self.envelopes: list[Envelope] = []
        self.sessions: list[Session] = []
        self.refuses: set[str] = set()
        self._came = asyncio.Event()

    @property
    def url(self) -> str:
        """Where it is, for the setting `smtp_url`."""
        return f"smtp://127.0.0.1:{self.port}?tls=off"

    @property
    def letters(self) -> list[EmailMessage]:
        """The messages."""
        return [message_from_bytes(envelope.content, policy=default) for envelope in self.envelopes]  # type: ignore[misc,arg-type]

    async def wait(self, count: int = 1) -> EmailMessage:
        """The message of that number, once it has come."""
        async with asyncio.timeout(20):
            while len(self.envelopes) < count:
                self._came.clear()
                await self._came.wait()
        return self.letters[count - 1]

    async def link(self, count: int = 1) -> tuple[str, str]:
        """The page and the token of the link in a message."""
        found = LINK.search((await self.wait(count)).get_content())
        assert found is not None
        return found[1], found[2]

    async def handle_RCPT(self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:  # noqa: N802
        """Takes all recipients but those it does not know."""
        if address in self.refuses:
            return "550 no such person"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keeps the message."""
        self.sessions.append(session)
        self.envelopes.append(envelope)
        self._came.set()
        return "250 OK"


def _check(server: Any, session: Session, envelope: Envelope, mechanism: str, given: Any) -> AuthResult:
    assert isinstance(given, LoginPassword)
    return AuthResult(success=(given.login, given.password) == (USER.encode(), PASSWORD.encode()), handled=False)


@asynccontextmanager
async def serve_mail(*, starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None) -> AsyncIterator[MailServer]:
    """A server that runs, with TLS from STARTTLS on, or from the start. Over TLS it knows one user name and password."""
    fake, loop = MailServer(), asyncio.get_running_loop()
    secret: dict[str, Any] = {"authenticator": _check, "auth_required": starttls is not None} if starttls or tls else {}

    def make() -> SMTP:
        return SMTP(fake, hostname="mail.test", loop=loop, tls_context=starttls, auth_require_tls=tls is None, **secret)

    server = await loop.create_server(make, "127.0.0.1", 0, ssl=tls)
    fake.port = server.sockets[0].getsockname()[1]
    try:
        yield fake
    finally:
        server.close()
        await server.wait_closed()
