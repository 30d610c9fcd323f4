"""Mail: to a real server on loopback with and without TLS, or into the log; nothing gets into a header that does not belong there."""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from mail_server import PASSWORD, USER, MailServer, serve_mail
from penstock.infra.mail import (
    ConsoleMail,
    Letter,
    MailError,
    SmtpMail,
    SmtpServer,
    open_mail,
    read_sender,
    read_smtp_url,
)

LETTER = Letter("ada@example.com", "Your password", "Open this:\n  http://gateway.test/reset#abc\n\nGrüße\n")
SENDER = "Gateway <gateway@example.com>"


def server_at(fake: MailServer, tls: str, **given: Any) -> SmtpServer:
    return SmtpServer(**{"host": "127.0.0.1", "port": fake.port, "user": USER, "password": PASSWORD, "tls": tls} | given)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


@pytest.fixture(scope="module")
def context(authority: trustme.CA) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(made)
    return made


async def test_a_letter_arrives() -> None:
    async with serve_mail() as fake:
        await open_mail(fake.url, SENDER).send(LETTER)
        letter = await fake.wait()
    assert (fake.envelopes[0].mail_from, fake.envelopes[0].rcpt_tos) == ("gateway@example.com", ["ada@example.com"])
    assert (letter["From"], letter["To"], letter["Subject"]) == (SENDER, "ada@example.com", "Your password")
    assert letter["Auto-Submitted"] == "auto-generated" and letter["Date"] and letter["Message-ID"].endswith("@example.com>")
    assert letter.get_content().replace("\r\n", "\n") == LETTER.text


async def test_starttls(context: ssl.SSLContext, ca_file: Path) -> None:
    async with serve_mail(starttls=context) as fake:
        await SmtpMail(server_at(fake, "starttls"), SENDER, ca_file).send(LETTER)
        await fake.wait()
    assert fake.sessions[0].ssl is not None and fake.sessions[0].authenticated


async def test_tls_from_the_start(context: ssl.SSLContext, ca_file: Path) -> None:
    async with serve_mail(tls=context) as fake:
        await SmtpMail(server_at(fake, "on"), SENDER, ca_file).send(LETTER)
        await fake.wait()
    assert fake.sessions[0].authenticated


async def test_knocking_sends_nothing(context: ssl.SSLContext, ca_file: Path) -> None:
    async with serve_mail(tls=context) as fake:
        await SmtpMail(server_at(fake, "on"), SENDER, ca_file).knock()
        with pytest.raises(MailError, match="refuses our user name or password"):
            await SmtpMail(server_at(fake, "on", password="wrong"), SENDER, ca_file).knock()
    assert fake.letters == []


async def test_a_password_is_never_sent_in_the_clear() -> None:
    async with serve_mail() as fake:
        with pytest.raises(MailError, match="STARTTLS"):
            await SmtpMail(server_at(fake, "starttls"), SENDER).send(LETTER)
    assert fake.envelopes == []


async def test_a_server_that_nobody_vouches_for_is_not_spoken_to(context: ssl.SSLContext) -> None:
    async with serve_mail(starttls=context) as fake:
        with pytest.raises(MailError, match="certificate"):
            await SmtpMail(server_at(fake, "starttls"), SENDER).send(LETTER)


async def test_a_wrong_password(context: ssl.SSLContext, ca_file: Path) -> None:
    async with serve_mail(starttls=context) as fake:
        with pytest.raises(MailError, match="user name or password") as failure:
            await SmtpMail(server_at(fake, "starttls", password="wrong-one"), SENDER, ca_file).send(LETTER)
    assert "wrong-one" not in str(failure.value)


async def test_a_recipient_that_is_refused() -> None:
    async with serve_mail() as fake:
        fake.refuses.add(LETTER.to)
        with pytest.raises(MailError, match="refuses the recipient"):
            await open_mail(fake.url, SENDER).send(LETTER)


async def test_nobody_there() -> None:
    async with serve_mail() as fake:
        url = fake.url
    with pytest.raises(MailError, match="ConnectionRefused"):
        await open_mail(url, SENDER).send(LETTER)


async def test_a_server_that_says_nothing() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        with pytest.raises(MailError, match="timed out"):
            await SmtpMail(SmtpServer("127.0.0.1", port, "", "", "off"), SENDER, timeout_s=0.1).send(LETTER)
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("to", ["ada@example.com\nBcc: eve@example.com", "ada@example.com, eve@example.com", "ada", "", "a@b\r\n", "<a@b>"])
async def test_recipients_that_are_none(to: str) -> None:
    async with serve_mail() as fake:
        with pytest.raises(MailError, match="recipient"):
            await open_mail(fake.url, SENDER).send(Letter(to, "s", "t"))
    assert fake.envelopes == []


async def test_a_subject_of_two_lines_is_not_sent() -> None:
    async with serve_mail() as fake:
        with pytest.raises(MailError):
            await open_mail(fake.url, SENDER).send(Letter("ada@example.com", "s\nBcc: eve@example.com", "t"))
    assert fake.envelopes == []


@given(st.text(max_size=60))
def test_a_sender_is_one_address_on_one_line(text: str) -> None:
    try:
        sender = read_sender(text)
    except ValueError:
        return
    assert sender.username and sender.domain and str(sender).isprintable()


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a@b.c", "a@b.c"), (SENDER, SENDER), ('"Gate, Inc." <a@b.c>', '"Gate, Inc." <a@b.c>'), ("é <a@b.c>", "é <a@b.c>"), ("<a@b>", "a@b")],
)
def test_senders(text: str, shown: str) -> None:
    assert str(read_sender(text)) == shown


@pytest.mark.parametrize("text", ["", "x", "a@", "@b", "a@b.c, d@e.f", "Group: a@b.c;", "a@b.c\nBcc: x@y.z"])
def test_senders_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="one address"):
        read_sender(text)


def test_smtp_urls() -> None:
    assert read_smtp_url("smtp://me:p%40ss@mail.test") == SmtpServer("mail.test", 587, "me", "p@ss", "starttls")
    assert read_smtp_url("smtps://mail.test") == SmtpServer("mail.test", 465, "", "", "on")
    assert read_smtp_url("smtp://localhost:25/?tls=off") == SmtpServer("localhost", 25, "", "", "off")


@pytest.mark.parametrize(
    "url", ["", "mail.test", "http://mail.test", "smtp://", "smtps://mail.test?tls=off", "smtp://mail.test/x", "smtp://h?a=b", "smtp://h:x"]
)
def test_smtp_urls_that_are_none(url: str) -> None:
    with pytest.raises(ValueError, match=r"smtp://|port|Port"):
        read_smtp_url(url)


async def test_without_a_server_the_log_has_the_letter_whole(caplog: pytest.LogCaptureFixture) -> None:
    mail = open_mail(None, "")
    assert isinstance(mail, ConsoleMail)
    with caplog.at_level(logging.WARNING, "penstock.mail"):
        await mail.send(LETTER)
    assert "ada@example.com" in caplog.text and "http://gateway.test/reset#abc" in caplog.text
