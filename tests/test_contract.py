"""The OpenAPI document of the whole program: what it must say of every operation of the control API, also of those to come."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import jsonschema_rs
import pytest

from penstock.app import build
from penstock.contract import example_of
from penstock.kit.errors import CODES
from penstock.settings import load

SECRET = frozenset(("csrf_token", "password", "token"))


class Operation(NamedTuple):
    """One method of one path."""

    path: str
    method: str
    said: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.method.upper()} {self.path}"

    def contents(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """What is sent and answered in JSON, each with the name of its place."""
        yield from (
            ("body", content) for kind, content in self.said.get("requestBody", {}).get("content", {}).items() if kind.endswith("json")
        )
        for status, response in self.said["responses"].items():
            yield from ((status, content) for kind, content in response.get("content", {}).items() if kind.endswith("json"))


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    app, _ = build(load(data=tmp_path_factory.mktemp("data"), port=0, demo=True, access_token="sk-team", api_sec_key="sk-logs"))
    found = app.openapi()
    assert app.openapi() is found
    return found


@pytest.fixture(scope="module")
def operations(document: dict[str, Any]) -> list[Operation]:
    return [
        Operation(path, method, said)
        for path, methods in document["paths"].items()
        for method, said in methods.items()
        if path.startswith("/api/")
    ]


def valid(value: Any, schema: dict[str, Any], document: dict[str, Any]) -> bool:
    return jsonschema_rs.is_valid(
        {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "components": document["components"]}, value
    )


def test_it_is_openapi(document, operations):
    assert document["openapi"].startswith("3.1.") and document["info"]["description"]
    assert len(operations) > 60


def test_every_operation_says_what_it_does(operations):
    for each in operations:
        summary, description = each.said["summary"], each.said["description"]
        assert 5 < len(summary) <= 130 and "\n" not in summary and summary[0].isupper() and not summary.endswith("."), (str(each), summary)
        assert description.startswith(summary), str(each)
        assert each.said["tags"], str(each)


def test_every_operation_has_a_name_of_its_own(operations):
    names = [each.said["operationId"] for each in operations]
    assert len(set(names)) == len(names)
    assert not [name for name in names if not re.fullmatch(r"[a-z]+(_[a-z]+)*", name)]


def test_every_parameter_is_described_or_speaks_for_itself(operations):
    for each in operations:
        for parameter in each.said.get("parameters", ()):
            assert parameter["schema"], (str(each), parameter)
            assert parameter["in"] != "path" or parameter["required"], (str(each), parameter)


def test_every_body_has_a_valid_example(operations, document):
    for each in operations:
        for place, content in each.contents():
            schema = content["schema"]
            assert schema, f"{each} does not say what its {place} is"
            example = content.get("example") or example_of(schema, document["components"]["schemas"])
            assert example is not None and valid(example, schema, document), (str(each), place, example)
            assert not list(dots(example)), f"{each}, {place}: give these fields an example"


def dots(value: Any, name: str = "") -> Iterator[str]:
    """The fields that nobody has given an example of."""
    if isinstance(value, dict):
        for part, each in value.items():
            yield from dots(each, part)
    elif isinstance(value, list):
        for each in value:
            yield from dots(each, name)
    elif value == "..." and name not in SECRET:
        yield name


def test_what_is_not_json_has_an_example_too(operations):
    for each in operations:
        for status, response in each.said["responses"].items():
            for kind, content in response.get("content", {}).items():
                assert content.get("schema"), (str(each), status, kind)
                assert "example" in content, (str(each), status, kind)


def test_every_example_of_a_shape_is_valid(document):
    for name, schema in document["components"]["schemas"].items():
        for example in schema.get("examples", ()):
            assert valid(example, schema, document), name


def test_every_refusal_has_its_shape_and_its_codes(operations):
    for each in operations:
        shape = "NotDone" if each.path.startswith("/api/v1/") else "Refused"
        refused = {status: response for status, response in each.said["responses"].items() if int(status) >= 400}
        assert "422" not in refused and {"400", "500", "503"} <= refused.keys(), str(each)
        for status, response in refused.items():
            assert response["content"]["application/json"]["schema"] == {"$ref": f"#/components/schemas/{shape}"}, (str(each), status)
            codes = re.findall(r"^`(\w+)`: ", response["description"], re.MULTILINE)
            assert codes or shape == "NotDone", (str(each), status)
            assert len(set(codes)) == len(codes), (str(each), status)
            assert all(CODES[code].status == int(status) for code in codes), (str(each), status)
            assert "retry-after" in response.get("headers", {}) or status not in ("429", "503"), (str(each), status)


def test_no_operation_answers_well_without_saying_how(operations):
    for each in operations:
        well = [(status, response) for status, response in each.said["responses"].items() if int(status) < 400]
        assert well, str(each)
        for status, response in well:
            assert response["description"] not in ("", "Successful Response"), (str(each), status)
            assert bool(response.get("content")) == (status != "204"), (str(each), status)


def test_every_operation_says_how_it_is_let_in(operations, document):
    schemes = document["components"]["securitySchemes"]
    assert all(re.fullmatch(r"[a-zA-Z0-9._-]+", name) and scheme["description"] for name, scheme in schemes.items())
    assert {(scheme["type"], scheme.get("in")) for scheme in schemes.values()} == {
        ("apiKey", "cookie"),
        ("apiKey", "header"),
        ("http", None),
    }
    for each in operations:
        ways = [frozenset(way) for way in each.said.get("security", ())]
        assert {name for way in ways for name in way} <= schemes.keys(), str(each)
        if each.method != "get":
            assert frozenset(("session",)) not in ways, f"{each} changes something: it takes the CSRF token"
        else:
            assert not any("csrf" in way for way in ways), str(each)


OPEN = {
    "/api/setup", "/api/sessions", "/api/registrations", "/api/confirmations", "/api/confirmations/email", "/api/password-resets",
    "/api/password-resets/complete",
}  # fmt: skip


def test_only_these_let_everybody_in(operations):
    open_ = {each.path for each in operations if not each.said.get("security")}
    assert open_ == OPEN
    assert [each.path for each in operations if {} in each.said.get("security", ())] == ["/api/price-list"]


def test_an_example_is_made_of_its_parts():
    schemas = {"Part": {"type": "string", "examples": ["one"]}}
    parts = {
        "named": {"$ref": "#/components/schemas/Part"},
        "list": {"type": "array", "items": {"$ref": "#/components/schemas/Part"}},
        "may": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "either": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        "chosen": {"enum": ["a", "b"]},
        "fixed": {"const": 7},
        "left": {"type": "integer", "default": 3},
        "made_at": {"type": "string"},
        "cost_nano": {"type": "integer"},
        "is": {"type": "boolean"},
        "any": {},
    }
    assert example_of({"type": "object", "properties": parts}, schemas) == {
        "named": "one", "list": ["one"], "may": None, "either": 1, "chosen": "a", "fixed": 7, "left": 3,
        "made_at": "2027-01-31T12:00:00Z", "cost_nano": 5_000_000_000, "is": True, "any": None,
    }  # fmt: skip
    assert list(dots(example_of({"type": "object", "properties": {"nobody_knows": {"type": "string"}}}, schemas))) == ["nobody_knows"]
