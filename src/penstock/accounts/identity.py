"""Identity: who is asking the control API or the command line, and on whose account they may act."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.accounts.models import OPERATOR
from penstock.kit.errors import PenstockError


@dataclass(frozen=True, slots=True)
class Identity:
    """Someone who has been let in."""

    account_id: str
    role: str
    """`admin` or `member`."""
    via: str
    """`session`, `cli`, or the id of the management key or of the ticket that was shown."""
    address: str
    """Where the request came from; empty for the command line."""

    @property
    def is_admin(self) -> bool:
        """They may act on every account, and on what belongs to none."""
        return self.role == "admin"

    def may_see(self, account_id: str | None) -> bool:
        """Whether what belongs to this account is theirs to see and change. What belongs to none is the administrators'."""
        return self.is_admin or self.account_id == account_id

    def acting_on(self, account_id: str | None) -> str:
        """The account that is meant: their own unless another is named, which only administrators may do.

        Raises PenstockError `not_found` for anybody else, as for an account that does not exist.
        """
        if account_id is None:
            return self.account_id
        if not self.may_see(account_id):
            raise no_account(account_id)
        return account_id


CLI = Identity(OPERATOR, "admin", "cli", "")
"""Whoever may run `penstock` on the gateway's own machine."""


def no_account(account_id: str) -> PenstockError:
    """The answer to everyone who asks for an account that does not exist, or is not theirs."""
    return PenstockError("not_found", f"There is no account '{account_id}'.", param="account_id")
