"""Accounts: who pays, who may sign in, and what they may administer."""
