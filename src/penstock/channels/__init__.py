"""Channels: the ways to providers that the operator has set up, with their credentials and models."""
