"""The OpenAPI document: 3.1, with examples, and true about what is not valid."""

from __future__ import annotations

from fastapi import FastAPI

from penstock.accounts.api.errors import install


def operations(document: dict):
    for path, methods in document["paths"].items():
        yield from ((path, operation) for operation in methods.values())


def test_what_is_not_valid_is_400(app):
    document = app.openapi()
    assert document["openapi"].startswith("3.1") and document is app.openapi()
    assert not [path for path, operation in operations(document) if "422" in operation["responses"]]
    asked = [operation for _, operation in operations(document) if "requestBody" in operation or operation.get("parameters")]
    assert asked and all("400" in operation["responses"] for operation in asked)
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_every_refusal_has_the_one_shape(app):
    for path, operation in operations(app.openapi()):
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert response["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Refused"}, (path, status)


def test_elsewhere_as_ever():
    app = FastAPI()
    install(app)

    @app.get("/other")
    async def other(number: int) -> int:
        return number

    assert "422" in app.openapi()["paths"]["/other"]["get"]["responses"]
    assert "HTTPValidationError" in app.openapi()["components"]["schemas"]


def test_names_can_be_read(app):
    names = [operation["operationId"] for _, operation in operations(app.openapi())]
    assert len(names) == len(set(names))
