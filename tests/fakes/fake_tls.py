"""Certificates for providers that speak TLS, well or badly."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme


class Authority:
    """A certificate authority of one test session. A second one is an authority that nobody trusts."""

    def __init__(self) -> None:
        self._ca = trustme.CA()

    def server(self, *names: str) -> ssl.SSLContext:
        """A server's context whose certificate is for `names`; without any, for 127.0.0.1 and localhost."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*(names or ("127.0.0.1", "localhost"))).configure_cert(context)
        return context

    def client(self) -> ssl.SSLContext:
        """A client's context that trusts this authority and no other."""
        context = ssl.create_default_context()
        context.load_verify_locations(cadata=self._ca.cert_pem.bytes().decode())
        return context

    def write(self, path: Path) -> Path:
        """Write the authority's certificate as a CA file and return its path."""
        self._ca.cert_pem.write_to_path(str(path))
        return path
