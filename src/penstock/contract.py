"""The contract of the control API, its OpenAPI document: what every operation needs said of it and none should have to say itself.

A route brings its name, its docstring, its shapes and the refusals that are its own. Added here are summaries, examples of answers,
how a request shows who sent it, and the refusals that any operation of its kind can meet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI

from penstock.accounts.api.errors import Refused, refusals
from penstock.accounts.api.gate import CSRF_HEADER, SAFE
from penstock.accounts.api.tracing import is_api
from penstock.compat.envelope import PREFIX, NotDone

ABOUT = """Everything that can be administered: accounts, keys, rules, records, money, prices, membership.

Amounts are whole nano-dollars (`*_nano`), multipliers whole millionths (`*_micro`), moments ISO 8601 in UTC (`*_at`). Lists come in
pages: `limit`, and as `cursor` the `next` of the page before. Whatever moves money takes an `Idempotency-Key`. Every answer has an
`x-request-id`. What is refused has one shape, `Refused`; below `/api/v1` it is the platform's, `NotDone`."""
_CSRF = {
    "type": "apiKey", "in": "header", "name": CSRF_HEADER,
    "description": "The `csrf_token` of the session, with every request that changes something. Not needed with a key.",
}  # fmt: skip
_RETRY_AFTER = {"retry-after": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
_KEY_REFUSED = ("invalid_key", "key_disabled", "key_expired", "account_disabled")
_TEXTS = {
    "account_id": "acc_...", "actor": "acc_...", "address": "203.0.113.7", "agent": "Mozilla/5.0", "created_by": "acc_...",
    "code_id": "cod_...", "model": "gpt-4o", "name": "build-server", "note": "bank transfer",
    "prefix": "SPRING", "provider": "openai", "ref": "order-1001", "request_id": "req_...", "subject": "key_...", "title": "VIP",
    "top_up_id": "top_up/order-1001", "via": "session", "dollars": "2.5",
}  # fmt: skip
_MOMENT = "2027-01-31T12:00:00Z"
_NUMBERS = {"_nano": 5_000_000_000, "_micro": 1_000_000}
_SCALARS: dict[str, Any] = {"integer": 1, "number": 1.5, "boolean": True, "null": None}


def describe(app: FastAPI) -> None:
    """Have the document of the application say all of it, once its routes are in."""
    written = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            _complete(written())
        return app.openapi_schema or written()

    app.openapi = openapi  # type: ignore[method-assign]  # it is how FastAPI has its document changed


def example_of(schema: Mapping[str, Any], schemas: Mapping[str, Any], name: str = "") -> Any:
    """A value that a schema allows: its own example or default, else one made of its parts. `name` is what it is the value of.

    A text that nobody has given an example of is three dots.
    """
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].rpartition("/")[2]], schemas, name)
    if "examples" in schema:
        return schema["examples"][0]
    for given in ("default", "const"):
        if given in schema:
            return schema[given]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        options = schema["anyOf"]
        return None if {"type": "null"} in options else example_of(options[0], schemas, name)
    kind = schema.get("type")
    if kind == "object":
        return {part: example_of(each, schemas, part) for part, each in schema.get("properties", {}).items()}
    if kind == "array":
        return [example_of(schema["items"], schemas, name)]
    if kind == "string":
        return _MOMENT if name.endswith("_at") or name in ("at", "since") else _TEXTS.get(name, "...")
    return _NUMBERS.get(name[name.rfind("_") :], 1) if kind == "integer" else _SCALARS.get(kind or "null")


def _complete(document: dict[str, Any]) -> None:
    document["info"]["description"] = ABOUT
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    components.setdefault("securitySchemes", {})["csrf"] = _CSRF
    for path, operations in document["paths"].items():
        for method, operation in operations.items() if is_api(path) else ():
            _name(operation)
            _let_in(operation, method)
            _refuse(operation, path, method)
            _answer(operation, schemas)


def _name(operation: dict[str, Any]) -> None:
    """The first sentence of a docstring sums it up."""
    first = operation.get("description", "").partition("\n\n")[0].replace("\n", " ")
    operation["summary"] = first.partition(". ")[0].rstrip(".")


def _let_in(operation: dict[str, Any], method: str) -> None:
    """A session that changes something shows its CSRF token as well."""
    if method.upper() in SAFE:
        return
    for way in operation.get("security", ()):
        if "session" in way:
            way["csrf"] = []


def _refuse(operation: dict[str, Any], path: str, method: str) -> None:
    """What may be answered whatever is asked: by the gate, by what bounds requests, by a database that is away."""
    codes = ["invalid_request", "internal_error", "database_away"]
    if "requestBody" in operation:
        codes += ["invalid_json", "body_too_large"]
    ways = {name for way in operation.get("security", ()) for name in way}
    if ways:
        codes += ["not_signed_in", *(_KEY_REFUSED if "management_key" in ways else ())]
        codes += ["forbidden", *(("address_not_allowed",) if "management_key" in ways else ())]
        codes += ["csrf_refused"] if method.upper() not in SAFE else []
    shape = NotDone if path.startswith(PREFIX) else Refused
    schema = {"$ref": f"#/components/schemas/{shape.__name__}"}
    responses = operation["responses"]
    for status, refusal in refusals(*codes).items():
        told = responses.setdefault(str(status), {"description": "", "content": {"application/json": {"schema": schema}}})
        lines = [line for line in refusal["description"].split("\n\n") if line not in told["description"]]
        told["description"] = "\n\n".join([*filter(None, [told["description"]]), *lines])
    for status in {"429", "503"} & responses.keys():
        responses[status].setdefault("headers", _RETRY_AFTER)
    operation["responses"] = dict(sorted(responses.items()))


def _answer(operation: dict[str, Any], schemas: Mapping[str, Any]) -> None:
    """Every body has an example, and every answer a description: that of its shape where the route has none."""
    for said in (operation.get("requestBody", {}), *operation["responses"].values()):
        content = said.get("content", {}).get("application/json")
        if content is not None and not {"example", "examples"} & content.keys():
            schema = content["schema"]
            content["example"] = example_of(schema.get("anyOf", [schema])[0], schemas)
    for status, response in operation["responses"].items():
        shape = response.get("content", {}).get("application/json", {}).get("schema", {}).get("$ref")
        if response["description"] == "Successful Response" and (shape or status == "204"):
            response["description"] = schemas[shape.rpartition("/")[2]]["description"] if shape else "Done."
