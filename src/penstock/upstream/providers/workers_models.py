"""Workers AI's list of models, and the schemas of those that make pictures, read with patience: nothing in them is to be relied on."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import msgspec

from penstock.upstream.offers import Offer

CHAT, EMBEDDINGS, IMAGES = "workers_chat", "workers_embeddings", "workers_images"
_TASKS = {"text generation": CHAT, "text embeddings": EMBEDDINGS, "text-to-image": IMAGES}
_NAME = re.compile(r"@?[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)*")
_NEEDS_A_PICTURE = re.compile(r"img2img|image-to-image|inpaint|upscal|outpaint", re.IGNORECASE)
_PICTURES = frozenset(("image", "images", "image_b64", "image_url", "input_image", "init_image", "mask", "mask_image", "mask_b64"))
_KNOWN_BY_FORM = re.compile(r"/flux-2-")


class Bounds(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a field may be."""

    least: float | None = None
    most: float | None = None
    size: int | None = None
    """Most characters."""


class Pictures(msgspec.Struct, frozen=True):
    """How a model that makes pictures is asked: as a form or as JSON, and with which fields."""

    form: bool
    fields: dict[str, Bounds]

    def options(self) -> dict[str, str]:
        """As an offer keeps it."""
        return {"image": "multipart" if self.form else "json", "fields": msgspec.json.encode(self.fields).decode()}


_BY_FORM = Pictures(form=True, fields={name: Bounds() for name in ("prompt", "width", "height", "steps")})
"""The schemas of models that take forms do not say which fields: these are documented for FLUX.2."""
_PROMPT_ONLY = Pictures(form=False, fields={"prompt": Bounds()})
"""What any model understands whose schema cannot be had."""


def model_name(name: Any) -> str | None:
    """A model's name that can be a path; None for any other."""
    return name if isinstance(name, str) and len(name) <= 200 and _NAME.fullmatch(name) else None


def needs_picture(name: str) -> bool:
    """By its name, it changes pictures and makes none from words alone. The schemas of these do not tell."""
    return _NEEDS_A_PICTURE.search(name) is not None


def pictures_of(name: str, schema: Any) -> Pictures | None:
    """How a model is asked for a picture; None if words are not enough for it. `schema` None: it could not be had."""
    if needs_picture(name):
        return None
    found = _input(schema)
    if found is None:
        return _BY_FORM if _KNOWN_BY_FORM.search(name) else _PROMPT_ONLY
    properties, required = found
    if "multipart" in properties:
        return _BY_FORM
    if "prompt" not in properties or required & _PICTURES:
        return None
    return Pictures(form=False, fields={key: _bounds(value) for key, value in properties.items() if key not in _PICTURES})


def kept_pictures(name: str, options: dict[str, str] | None) -> Pictures | None:
    """What `Pictures.options` has kept; None if nothing was."""
    if not options or "image" not in options:
        return None
    try:
        fields = msgspec.json.decode(options.get("fields", "{}"), type=dict[str, Bounds])
    except msgspec.MsgspecError:
        return pictures_of(name, None)
    return Pictures(options["image"] == "multipart", fields)


def offer_of(item: Any, pictures: Pictures | None) -> Offer | None:
    """An offer for an item of the list; None if it is none, is going to be withdrawn, or changes pictures. `pictures` is for those whose
    `wire_of` is images.
    """
    name = model_name(item.get("name")) if isinstance(item, dict) else None
    if name is None or item.get("deprecated") is True:
        return None
    wire = wire_of(item)
    if wire == IMAGES and pictures is None:
        return None  # whoever asks for it all the same is told why not, by the errand
    properties = _properties(item.get("properties"))
    return Offer(
        name=name,
        wires=() if wire is None else (wire,),
        owner=_owner(name),
        created=_seconds(item.get("created_at")),
        context_tokens=_whole(properties.get("context_window") or properties.get("max_input_tokens")),
        inputs=_inputs(wire, properties),
        outputs=("image",) if wire == IMAGES else ("text",) if wire == CHAT else (),
        options=pictures.options() if pictures is not None and wire == IMAGES else {},
    )


def wire_of(item: dict[str, Any]) -> str | None:
    """The wire for an item's task; None for tasks that OpenAI's interface has no words for here."""
    task = item.get("task")
    name = task.get("name") if isinstance(task, dict) else task
    return _TASKS.get(name.strip().lower()) if isinstance(name, str) else None


def _input(schema: Any) -> tuple[dict[str, Any], set[str]] | None:
    """The properties of a model's input, and which must be given; of several ways to ask the one by a prompt."""
    if isinstance(schema, dict) and isinstance(schema.get("schema"), dict):
        schema = schema["schema"]
    given = schema.get("input") if isinstance(schema, dict) else None
    if not isinstance(given, dict):
        return None
    ways = [given, *(way for key in ("oneOf", "anyOf", "allOf") for way in _list(given.get(key)) if isinstance(way, dict))]
    read = [_way(way) for way in ways]
    read = [way for way in read if way[0]]
    return next((way for way in read if "prompt" in way[0] or "multipart" in way[0]), read[0]) if read else None


def _way(way: dict[str, Any]) -> tuple[dict[str, Any], set[str]]:
    properties = way.get("properties")
    properties = properties if isinstance(properties, dict) else {}
    # One published schema has its `required` among the properties.
    required = _list(way.get("required")) or _list(properties.get("required"))
    return {key: value for key, value in properties.items() if isinstance(value, dict)}, {one for one in required if isinstance(one, str)}


def _bounds(about: dict[str, Any]) -> Bounds:
    least, most, size = about.get("minimum"), about.get("maximum"), about.get("maxLength")
    return Bounds(_float(least), _float(most), size if type(size) is int and size > 0 else None)


def _float(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12 else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _properties(found: Any) -> dict[str, Any]:
    """`[{"property_id", "value"}]` as a mapping."""
    if isinstance(found, dict):
        return found
    return {
        one["property_id"]: one.get("value") for one in _list(found) if isinstance(one, dict) and isinstance(one.get("property_id"), str)
    }


def _inputs(wire: str | None, properties: dict[str, Any]) -> tuple[str, ...]:
    if wire == CHAT:
        return ("text", "image") if properties.get("vision") in ("true", True) else ("text",)
    return ("text",) if wire in (EMBEDDINGS, IMAGES) else ()


def _owner(name: str) -> str:
    parts = name.split("/")
    return parts[1] if len(parts) > 2 else "cloudflare"


def _whole(value: Any) -> int | None:
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit() and len(value) < 13:
        value = int(value)
    return value if type(value) is int and 0 < value < 10**12 else None


def _seconds(value: Any) -> int:
    """A time such as "2025-11-24 15:44:06.050", which is UTC, in seconds; 0 if there is none."""
    if not isinstance(value, str):
        return 0
    try:
        at = datetime.fromisoformat(value.strip())
    except ValueError:
        return 0
    seconds = (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
    return max(0, int(seconds))
