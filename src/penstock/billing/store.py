"""Where charges are kept: what the books ask of a database, and the one that a URL names."""

from __future__ import annotations

from typing import Literal, Protocol

from penstock.billing.charge import Charge

Durability = Literal["process", "power"]
"""What a charge survives once it is durable: the death of this process, or also of the machine's power."""


class Store(Protocol):
    """A table of charges. One call at a time; writing a charge again is harmless."""

    def quick(self, charges: list[Charge]) -> bool:
        """Commit the charges here and now if that needs no waiting; False, and nothing done, if `write` must."""

    async def write(self, charges: list[Charge]) -> None:
        """Commit the charges in one transaction, or none of them and raise whatever went wrong.

        Without charges it only makes sure that there is a database to write to. A cancelled write may have been committed.
        """

    async def close(self) -> None:
        """Let go of the database."""
