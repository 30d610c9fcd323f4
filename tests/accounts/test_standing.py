"""Standing: the tier of an account at a moment."""

from __future__ import annotations

from bank import Bank
from penstock.accounts.models import Membership
from penstock.accounts.standing import standings_of


async def test_the_highest_membership_that_has_not_ended_counts(database, database_url):
    bank = Bank(database, database_url)
    (none, _), (vip, _), (both, _) = [await bank.account() for _ in range(3)]
    async with database.session() as session:
        session.add(Membership(account_id=vip, tier="vip", started_at_ms=0, until_ms=100))
        session.add(Membership(account_id=both, tier="vip", started_at_ms=0, until_ms=100))
        session.add(Membership(account_id=both, tier="premium", started_at_ms=0, until_ms=50))
    async with database.session(read_only=True) as session:
        for now_ms, names in ((10, ["free", "vip", "premium"]), (50, ["free", "vip", "vip"]), (100, ["free", "free", "free"])):
            standings = await standings_of(session, [none, vip, both], now_ms)
            assert [standings[account].tier.name for account in (none, vip, both)] == names
        assert (await standings_of(session, [both], 10))[both].until_ms == 50
        assert (await standings_of(session, [none], 10))[none].until_ms is None
        assert await standings_of(session, [], 10) == {}
