"""Mail: letters to people, by SMTP or, where there is no server for it, into the log."""

from __future__ import annotations

import asyncio
import logging
import re
import smtplib
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, make_msgid
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qs, unquote, urlsplit

TIMEOUT_S = 15
"""How long a mail server may take for each step."""
AT_ONCE = 4
_PORTS = {"smtp": 587, "smtps": 465}
_EMAIL = re.compile(r"[^\x00-\x20\x7f-\uffff\"(),:;<>@\[\\\]]+@[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
_SENDER = re.compile(rf"([^<>@]*?)<?({_EMAIL.pattern})>?")
_log = logging.getLogger("penstock.mail")


class MailError(Exception):
    """A letter could not be sent; says why, without secrets."""


@dataclass(frozen=True, slots=True)
class Letter:
    """Plain text to one person."""

    to: str
    subject: str
    text: str


class Mail(Protocol):
    """A way to send letters."""

    async def send(self, letter: Letter) -> None:
        """Send it. Raises MailError."""


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mail is handed in. `tls` is there from the start, or from STARTTLS on, or not at all."""

    host: str
    port: int
    user: str
    password: str
    tls: str
    """`on`, `starttls` or `off`."""


def read_smtp_url(url: str) -> SmtpServer:
    """`smtp://user:password@host:587`, `smtps://...` for TLS from the start, `?tls=off` for a server without. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname or parts.path.strip("/"):
        raise ValueError("it must be smtp://user:password@host:587 or smtps://user:password@host:465")
    query = parse_qs(parts.query, keep_blank_values=True)
    tls = query.pop("tls", ["on" if parts.scheme == "smtps" else "starttls"])[-1]
    if query or tls not in (("on",) if parts.scheme == "smtps" else ("starttls", "off")):
        raise ValueError("after the host there can be ?tls=off, for smtp:// and a server without TLS, and nothing else")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return SmtpServer(parts.hostname, parts.port or _PORTS[parts.scheme], user, password, tls)


def read_sender(mail_from: str) -> Address:
    """Whoever mails are from. Raises ValueError for what is not one address, with or without a name."""
    found = _SENDER.fullmatch(mail_from.strip())
    if found is None or not mail_from.isprintable():
        raise ValueError("it must be one address to send from, such as gateway@example.com or Gateway <gateway@example.com>")
    return Address(found[1].strip().strip('"'), *found[2].split("@"))


def open_mail(smtp_url: str | None, mail_from: str, ca_file: Path | None = None) -> Mail:
    """The way to send letters that is configured; without a server, the log. Raises ValueError."""
    if not smtp_url:
        return ConsoleMail()
    return SmtpMail(read_smtp_url(smtp_url), mail_from, ca_file)


class ConsoleMail:
    """Writes letters into the log, whole: whoever reads it passes them on."""

    async def send(self, letter: Letter) -> None:
        """Write it, a log line for a line."""
        _log.warning("no mail server is set, so this goes to nobody but the log. To: %s. Subject: %s", letter.to, letter.subject)
        for line in letter.text.splitlines():
            if line:
                _log.warning("| %s", line)


class SmtpMail:
    """Hands letters to a mail server, each over a connection of its own, on a thread."""

    def __init__(self, server: SmtpServer, mail_from: str, ca_file: Path | None = None, *, timeout_s: float = TIMEOUT_S) -> None:
        self._server = server
        self._sender = read_sender(mail_from)
        self._ca_file = ca_file
        self._timeout_s = timeout_s
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def send(self, letter: Letter) -> None:
        """Send it. Raises MailError."""
        try:
            message = _message(letter, self._sender)
        except ValueError as wrong:
            raise MailError(str(wrong)) from wrong
        await self._visit(lambda connection: connection.send_message(message))

    async def knock(self) -> None:
        """Connect and log in as for a letter, without one. Raises MailError."""
        await self._visit(lambda connection: connection.noop())

    async def _visit(self, errand: Callable[[smtplib.SMTP], object]) -> None:
        async with self._turns:
            try:
                await asyncio.to_thread(self._go, errand)
            except (smtplib.SMTPException, OSError) as failure:
                raise MailError(_why(failure)) from failure

    def _go(self, errand: Callable[[smtplib.SMTP], object]) -> None:
        server = self._server
        if server.tls == "on":
            connection: smtplib.SMTP = smtplib.SMTP_SSL(server.host, server.port, timeout=self._timeout_s, context=self._context())
        else:
            connection = smtplib.SMTP(server.host, server.port, timeout=self._timeout_s)
        with connection:
            if server.tls == "starttls":
                connection.starttls(context=self._context())
            if server.user:
                connection.login(server.user, server.password)
            errand(connection)

    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self._ca_file)


def _message(letter: Letter, sender: Address) -> EmailMessage:
    """The letter as it is sent. Raises ValueError for a recipient that is none, and for a line break in a header."""
    if _EMAIL.fullmatch(letter.to) is None:
        raise ValueError("the recipient is not an e-mail address")
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = Address("", *letter.to.split("@"))
    message["Subject"] = letter.subject
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain=sender.domain)
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday notice answers it
    message.set_content(letter.text)
    return message


def _why(failure: Exception) -> str:
    """What went wrong. What the server quotes is left out: it may be what we logged in with."""
    if isinstance(failure, smtplib.SMTPAuthenticationError):
        return f"the mail server refuses our user name or password ({failure.smtp_code})"
    if isinstance(failure, smtplib.SMTPResponseException):
        return f"the mail server refuses: {failure.smtp_code}"
    if isinstance(failure, smtplib.SMTPRecipientsRefused):
        return "the mail server refuses the recipient"
    return f"{type(failure).__name__}: {failure}"
