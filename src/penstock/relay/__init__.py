"""The data plane: one request's way from the client to the provider and back. Read `walk.py` first."""
