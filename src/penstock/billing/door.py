"""What the relay sees of billing: funds that cover a request, the hold around it, and the books that its charge is posted to."""

from __future__ import annotations

from penstock.billing.books import Books
from penstock.billing.charge import Charge
from penstock.billing.funds import UNCOUNTED, Funds, Share
from penstock.billing.holds import Draws, Hold, Holds, holding
from penstock.billing.treasury import Treasury

__all__ = ["UNCOUNTED", "Books", "Charge", "Draws", "Funds", "Hold", "Holds", "Share", "Treasury", "holding"]
