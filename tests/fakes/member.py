"""A member of a running gateway: an account with money and a key, made through the services that the control API stands on."""

from __future__ import annotations

from typing import Any, NamedTuple

from bank import Bank
from live_gateway import LiveGateway


class Member(NamedTuple):
    """An account, and the token of its key."""

    account_id: str
    token: str
    bank: Bank
    gateway: LiveGateway

    def left(self) -> int:
        """What is left of its money, free and paid."""
        purses = (f"{self.account_id}/paid", f"{self.account_id}/free")
        return sum(self.gateway.run(self.bank.left(purse_id)) for purse_id in purses)

    def charges(self) -> list[dict[str, Any]]:
        """What it was charged."""
        return [row for row in self.gateway.charges() if row["account_id"] == self.account_id]


def join(gateway: LiveGateway, *, paid_nano: int = 0, free_nano: int = 0, **terms: Any) -> Member:
    """A new member with so much money; `terms` are those of its key."""
    bank = Bank(gateway.parts.database, gateway.settings.database_url)

    async def make() -> tuple[str, str]:
        account_id, _ = await bank.account(paid_nano, free_nano)
        return account_id, (await gateway.parts.keys.create("main", account_id=account_id, **terms)).token

    account_id, token = gateway.run(make())
    return Member(account_id, token, bank, gateway)
