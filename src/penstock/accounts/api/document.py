"""The OpenAPI document, as far as FastAPI does not know by itself how the control API answers what is not valid."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

from penstock.accounts.api.tracing import is_api

_FASTAPIS_OWN = ("HTTPValidationError", "ValidationError")


def correct(app: FastAPI, refused: dict[str, Any]) -> None:
    """Have the document say that what is not valid is answered with 400, as `refused` describes it, and never with 422."""
    written: Callable[[], dict[str, Any]] = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            _correct(written(), refused)
        return app.openapi_schema or written()

    app.openapi = openapi  # type: ignore[method-assign]  # it is how FastAPI has its document changed


def _correct(document: dict[str, Any], refused: dict[str, Any]) -> None:
    elsewhere = False
    for path, methods in document["paths"].items():
        for operation in methods.values():
            if not is_api(path):
                elsewhere = elsewhere or "422" in operation["responses"]
            elif operation["responses"].pop("422", None) is not None:
                operation["responses"].setdefault("400", refused)
    if not elsewhere:
        for name in _FASTAPIS_OWN:
            document.get("components", {}).get("schemas", {}).pop(name, None)
