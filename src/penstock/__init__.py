"""Penstock: a self-hosted gateway for language-model APIs."""

from penstock import native

__version__ = "0.1.0"

native.state = native.prefer()
