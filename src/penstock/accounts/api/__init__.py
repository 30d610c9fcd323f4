"""The control API of accounts: signing in and out, one's own account, all accounts, tiers, the audit trail."""
