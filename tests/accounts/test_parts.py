"""The parts of accounts: made from the settings, and purged together."""

from __future__ import annotations

from penstock.accounts.parts import Parts, purge
from penstock.accounts.repeats import Repeat
from penstock.accounts.sessions import LONGEST_MS, Browser
from penstock.infra.mail import ConsoleMail
from penstock.settings import Settings


async def test_links_lead_to_the_public_url_or_else_to_where_we_listen(database):
    for given, url in (({"public_url": "https://gate.test/"}, "https://gate.test/join#t"), ({"port": 81}, "http://127.0.0.1:81/join#t")):
        parts = Parts(database, ConsoleMail(), Settings(**given))
        assert url in parts.post.letters.confirmation("ada@example.com", "t").text


async def test_purge(database, parts, new_account, clock):
    await new_account("ada@example.com")
    await parts.signing.sign_in("ada@example.com", "correct horse battery", Browser("", "10.0.0.1"))
    await parts.joining.register("eve@example.com", "10.0.0.1")
    await parts.post.finished()

    async def act(session) -> int:
        return 1

    await parts.repeats.once(Repeat("acc_1", "k", b""), act, int)
    assert await purge(database, clock.ms) == 0
    assert await purge(database, clock.ms + LONGEST_MS) == 6  # a session, a ticket, a repeat, and attempts: one to sign in, two for mail
    assert await purge(database, clock.ms + LONGEST_MS) == 0
