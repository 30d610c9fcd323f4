"""Leaving: what goes when an account is deleted, whoever deletes it."""

from __future__ import annotations

from penstock.keys.leaving import forget_keys
from penstock.records.leaving import forget_records
from penstock.records.sharing import forget_shares
from penstock.rules.leaving import forget_rules

ENDINGS = (forget_keys, forget_rules, forget_shares, forget_records)
"""Each is called with the session and the account's id, in the transaction that deletes it."""
