"""How an exchange ended: the words that charges, records and metrics use."""

from __future__ import annotations

COMPLETE = "complete"
CLIENT_GONE = "client_gone"
UPSTREAM_DIED = "upstream_died"
UPSTREAM_TIMEOUT = "upstream_timeout"
UPSTREAM_ERROR = "upstream_error"
STOPPED = "stopped"
OUT_OF_FUNDS = "out_of_funds"
"""The stream guard ended it in good order."""
INTERRUPTED = "interrupted"
"""The process died; another one has written down what the request had come to."""

OUTCOMES = (COMPLETE, CLIENT_GONE, UPSTREAM_DIED, UPSTREAM_TIMEOUT, UPSTREAM_ERROR, STOPPED, OUT_OF_FUNDS, INTERRUPTED)
