"""The control API of billing: balances and what moves them, redemption codes, membership, the bill."""
