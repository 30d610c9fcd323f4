"""Addressed: what the wires have in common whose model and method are in the URL, as at Google: `/v1beta/models/NAME:METHOD`."""

from __future__ import annotations

import re
from typing import ClassVar
from urllib.parse import quote, unquote

import msgspec

from penstock.kit.errors import PenstockError
from penstock.upstream.dialects import google
from penstock.upstream.wires import asks
from penstock.upstream.wires.jsonwire import MODEL, JsonWire
from penstock.upstream.wires.wire import Ask, Dialect

_ADDRESS = re.compile(r"(/v\d+(?:alpha|beta)?\d*)/(?:models/|(?=tunedModels/))(.+):(\w+)")
_SAFE = "/:@!$&'()*+,;=~"
_TUNED = "tunedModels/"

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


def method_of(path: str) -> str:
    """The method that a path calls; empty if it calls none on a model."""
    match = _ADDRESS.fullmatch(path)
    return match[3] if match is not None else ""


def model_at(path: str) -> str | None:
    """The model that a path names, without `models/`; None if it names none."""
    match = _ADDRESS.fullmatch(path)
    return asks.optional_model(unquote(match[2]).removeprefix("models/")) if match is not None else None


def path_at(version: str, model: str, method: str) -> str:
    """The path of a method of a model. Raises PenstockError `model_not_found` for a name that would lead to another place."""
    if not {".", ".."}.isdisjoint(model.split("/")):
        raise PenstockError("model_not_found", f"The model {model[:100]!r} is not served here.", param="model")
    folder = "" if model.startswith(_TUNED) else "models/"
    return f"{version}/{folder}{quote(model.removeprefix('models/'), safe=_SAFE)}:{method}"


def resource(model: str) -> str:
    """The model as bodies name it."""
    return model if model.startswith((_TUNED, "models/")) else f"models/{model}"


class AddressedWire(JsonWire):
    """A wire that is called by a method of a model. Errors are Google's."""

    dialect: Dialect = google.DIALECT
    addressed: ClassVar[bool] = True
    methods: ClassVar[tuple[str, ...]] = ()

    def claims(self, path: str) -> bool:
        """Whether a POST to a normalised path is of this wire."""
        return method_of(path) in self.methods

    def peek_at(self, path: str, query: bytes, body: bytes) -> Ask:
        """Learn the facts. Raises PenstockError `invalid_json` or `missing_model`."""
        ask = self.peek(body)
        ask.model = asks.model_of(model_at(path))
        return ask

    def peek(self, body: bytes) -> Ask:
        """What the body says; it names no model that counts."""
        asks.read_fields(self.fields, body)
        return Ask(output_cap=0, input_size=asks.text_size(body))

    def renamed_path(self, path: str, model: str) -> str:
        """The path of the same method of another model."""
        match = _ADDRESS.fullmatch(path)
        return path_at(match[1], model, match[3]) if match is not None else path

    def prepare(self, body: bytes, ask: Ask, model: str | None) -> bytes:
        """The body; where it repeats the model's name, that is changed with the path."""
        if model is None or model == ask.model or b'"model' not in body:
            return body
        name = msgspec.json.encode(resource(model))
        return body if MODEL.raw(body) in (None, name) else MODEL.replaced(body, name)


def renamed_within(body: bytes, key: str, model: str) -> bytes:
    """A body with another model in the object, or in each object of the list, that is its field `key`."""
    found = _OBJECT.decode(body)
    if key not in found:
        return body
    try:
        inner = msgspec.json.decode(found[key], type=list[dict[str, msgspec.Raw]] | dict[str, msgspec.Raw])
    except msgspec.MsgspecError:
        return body
    name = msgspec.Raw(msgspec.json.encode(resource(model)))
    for item in inner if isinstance(inner, list) else [inner]:
        if "model" in item:
            item["model"] = name
    found[key] = msgspec.Raw(msgspec.json.encode(inner))
    return msgspec.json.encode(found)
