"""What the relay sees of billing: the hold around a request, and the books that its charge is posted to."""

from __future__ import annotations

from penstock.billing.books import Books
from penstock.billing.charge import Charge
from penstock.billing.holds import Hold, Purse, holding

__all__ = ["Books", "Charge", "Hold", "Purse", "holding"]
