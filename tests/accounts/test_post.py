"""Post: what is sent later fails without a word to whoever asked, is bounded, and is waited for at the end."""

from __future__ import annotations

import asyncio
import logging

import pytest

from penstock.accounts.letters import Letters
from penstock.accounts.post import WAITING, Post
from penstock.infra.database import DatabaseAway
from penstock.infra.mail import Letter, MailError
from penstock.kit.errors import PenstockError


class Slow:
    """Mail that goes when it is told to."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.sent: list[Letter] = []

    async def send(self, letter: Letter) -> None:
        await self.go.wait()
        self.sent.append(letter)


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def post(slow) -> Post:
    return Post(slow, Letters("http://gateway.test"))


async def test_later(post, slow):
    post.later(post.send(Letter("a@b.c", "s", "t")), "mail")
    assert slow.sent == []
    slow.go.set()
    await post.finished()
    assert [letter.to for letter in slow.sent] == ["a@b.c"]


async def test_only_so_many_wait(post, slow):
    for _ in range(WAITING):
        post.later(post.send(Letter("a@b.c", "s", "t")), "mail")
    with pytest.raises(PenstockError) as refused:
        post.later(post.send(Letter("a@b.c", "s", "t")), "mail")
    assert refused.value.code == "overloaded"
    slow.go.set()
    await post.finished()
    assert len(slow.sent) == WAITING
    post.later(post.send(Letter("a@b.c", "s", "t")), "mail")
    await post.finished()


@pytest.mark.parametrize("failure", [MailError("no"), DatabaseAway("away"), PenstockError("conflict", "no")])
async def test_what_fails_is_logged(post, failure, caplog):
    async def fail() -> None:
        raise failure

    with caplog.at_level(logging.ERROR, "penstock.accounts"):
        post.later(fail(), "mail for a test")
        await post.finished()
    assert f"mail for a test failed: {failure}" in caplog.text


async def test_the_end_does_not_wait_forever(post, slow):
    post.later(post.send(Letter("a@b.c", "s", "t")), "mail")
    await post.finished(within_s=0.01)
    await asyncio.sleep(0)
    assert slow.sent == []
