"""Post: letters that leave after the answer has, so that the time it takes tells nobody whether there was one to send."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from penstock.accounts.letters import Letters
from penstock.infra.database import DatabaseAway
from penstock.infra.mail import Letter, Mail, MailError
from penstock.kit.errors import PenstockError
from penstock.kit.tasks import spawn

WAITING = 200
"""Errands under way at a time."""
STOP_S = 20
"""How long those under way may take when the program stops."""
_log = logging.getLogger("penstock.accounts")


class Post:
    """The letters of one process: `letters` writes them, `mail` takes them away."""

    def __init__(self, mail: Mail, letters: Letters) -> None:
        self.letters = letters
        self._mail = mail
        self._errands: set[asyncio.Task[None]] = set()

    async def send(self, letter: Letter) -> None:
        """Send a letter now. Raises MailError."""
        await self._mail.send(letter)

    def later(self, errand: Coroutine[Any, Any, None], name: str) -> None:
        """Begin what looks whether there is a letter to send, and sends it. One that fails is logged: whoever waits asks again.

        Raises PenstockError `overloaded`.
        """
        if len(self._errands) >= WAITING:
            errand.close()
            raise PenstockError("overloaded", "Too much mail is waiting to be sent. Try again.", retry_after_s=5)
        task = spawn(_careful(errand, name), name=name)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def finished(self, within_s: float = STOP_S) -> None:
        """Wait for the errands under way, and give up those that take longer."""
        if self._errands:
            _, left = await asyncio.wait(set(self._errands), timeout=within_s)
            for task in left:
                task.cancel()


async def _careful(errand: Coroutine[Any, Any, None], name: str) -> None:
    try:
        await errand
    except (MailError, DatabaseAway, PenstockError) as failure:
        _log.error("%s failed: %s", name, failure)
