"""Penstock: a self-hosted gateway for language-model APIs."""

__version__ = "0.1.0"
