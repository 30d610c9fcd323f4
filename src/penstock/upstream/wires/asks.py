"""Asks: the pieces that request bodies are read with, and what is said when one cannot be read."""

from __future__ import annotations

import codecs
import re
from typing import TypeVar

import msgspec

from penstock.kit.errors import PenstockError

Scalar = str | int | float | bool | None
"""The type of a field that is only looked at: what it must be is checked here, in words that callers understand."""

OUTPUT_LIMIT = 1_000_000_000
"""No bound on output tokens counts for more."""
CHOICES_LIMIT = 128
"""No `n` counts for more: what OpenAI's interface allows."""
NAME_LIMIT = 512
MEDIA_DISCOUNT = 64
"""A byte of base64 counts as a 64th of a byte of text: an image of 1 MB is about 4,000 tokens, not 250,000."""

_PIECE = 64 * 1024
_SAMPLED_ABOVE = 64 * 1024
_SAMPLES = 128
_SAMPLE = 48
_BASE64 = re.compile(rb"[A-Za-z0-9+/=\\]*")
_AT_BYTE = re.compile(r"^JSON is malformed: (.*) \(byte (\d+)\)$")
_AT_FIELD = re.compile(r"^(.*?)(?: - at `(?:\$|key in )\.?(.*)`)?$")
_HALF_PAIR_SEEN = 24
"""So many bytes after its beginning msgspec has noticed that half a pair is missing."""
_GOT = re.compile(r"got `(\w+)`")
_HIGH, _LOW = rb"\\u[dD][89abAB][0-9a-fA-F]{2}", rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_HALF_PAIR = re.compile(rb"(?<!\\)(?:\\\\)*+(?:%b(?!%b)|(?<!%b)%b)" % (_HIGH, _LOW, _HIGH, _LOW))

T = TypeVar("T")


def read_fields(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """The fields of a JSON object that `decoder` knows. Raises `PenstockError("invalid_json")`; no other error escapes.

    The whole body is checked: msgspec walks over what it does not keep, but does not look into strings there, so UTF-8 is
    checked before.
    """
    try:
        if not body.isascii():
            _check_utf8(body)
        return decoder.decode(body)
    except (msgspec.DecodeError, RecursionError) as exc:
        raise _unreadable(exc, body) from None


def _check_utf8(body: bytes) -> None:
    # In pieces that stay in the processor's cache: three times as fast as decoding a megabyte at once.
    view, at = memoryview(body), 0
    while at < len(body):
        end = at + _PIECE
        try:
            at += codecs.utf_8_decode(view[at:end], "strict", end >= len(body))[1]
        except UnicodeDecodeError as exc:
            raise PenstockError("invalid_json", f"The body is not UTF-8: byte {at + exc.start} is wrong.") from None


def _unreadable(exc: Exception, body: bytes) -> PenstockError:
    if isinstance(exc, RecursionError):
        return PenstockError("invalid_json", "The body is not JSON that can be read: it is nested too deeply.")
    if isinstance(exc, msgspec.ValidationError):
        return _wrong_type(str(exc))
    if not body.strip():
        return PenstockError("invalid_json", "The body is empty; it must be a JSON object.")
    if body.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        return PenstockError("invalid_json", "The body is not valid JSON: it begins with a byte order mark (byte 0).")
    match = _AT_BYTE.match(str(exc))
    reason, at = (match[1], int(match[2])) if match is not None else ("it ends too early,", len(body))
    half_pair = _HALF_PAIR.search(body, max(0, at - _HALF_PAIR_SEEN), at + 1)
    if half_pair is not None:
        reason, at = "half of a surrogate pair", half_pair.end() - 6
    return PenstockError("invalid_json", f"The body is not valid JSON: {reason} at byte {at}.")


def _wrong_type(text: str) -> PenstockError:
    match = _AT_FIELD.match(text)
    reason, param = (match[1], match[2]) if match is not None else (text, None)
    got = _GOT.search(reason)
    if param is None:
        return PenstockError("invalid_json", f"The body must be a JSON object, not {_kind(got)}.")
    wrong = f"must not be {_kind(got)}" if got is not None else f"cannot be used: {reason.lower()}"
    return PenstockError("invalid_json", f'The field "{param}" {wrong}.', param=param)


def _kind(got: re.Match[str] | None) -> str:
    kind = {"str": "string", "int": "number", "float": "number", "bool": "boolean"}.get(got[1], got[1]) if got is not None else "value"
    return kind if kind == "null" else f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def model_of(value: object) -> str:
    """A model name as sent. Raises `missing_model` where there is none, `invalid_json` where it cannot be one."""
    model = optional_model(value)
    if model is None:
        raise PenstockError("missing_model", 'The body names no model: give the field "model".', param="model")
    return model


def optional_model(value: object) -> str | None:
    """A model name as sent; None for null and for an empty name. Raises `invalid_json`.

    Names are kept in tables and logs, so they are bounded and printable.
    """
    if value is None or value == "":
        return None
    if type(value) is not str:
        raise PenstockError("invalid_json", 'The field "model" must be a string.', param="model")
    if len(value) > NAME_LIMIT or not value.isprintable():
        raise PenstockError("invalid_json", f'The field "model" must be at most {NAME_LIMIT} printable characters.', param="model")
    return None if value.isspace() else value


def flag(value: object, param: str) -> bool:
    """A boolean; null is false. Raises `invalid_json` for anything else: guessing what "false" or 0 means is not ours."""
    if value is None or value is False:
        return False
    if value is True:
        return True
    raise PenstockError("invalid_json", f'The field "{param}" must be true or false.', param=param)


def cap(value: object) -> int | None:
    """A bound on output tokens; None where there is none that makes sense, which is for the provider to say."""
    if type(value) is int:
        return min(value, OUTPUT_LIMIT) if value > 0 else None
    if type(value) is float and value >= 1:
        return int(min(value, OUTPUT_LIMIT))
    return None


def choices(value: object) -> int:
    """How many answers are asked for: `n`, bounded; 1 where it makes no sense."""
    return min(value, CHOICES_LIMIT) if type(value) is int and value > 1 else 1


def form_flag(fields: dict[str, str], name: str) -> bool:
    """A boolean of a form, where everything is text."""
    return fields.get(name, "").strip().lower() in ("true", "1")


def form_choices(fields: dict[str, str]) -> int:
    """`n` of a form, bounded; 1 where it makes no sense."""
    text = fields.get("n", "").strip()
    return choices(int(text)) if text.isascii() and text.isdigit() and len(text) < 10 else 1


def text_size(body: bytes) -> int:
    """The bytes of a JSON body that the input is estimated from: base64 counts as a 64th.

    How much of a large body is base64 is sampled at 128 places, so this costs the same for any size.
    """
    size = len(body)
    if size <= _SAMPLED_ABOVE:
        return size
    step = size // _SAMPLES
    # A run of 48 such characters without a blank or a quote is not prose, and hardly ever code.
    media = sum(_BASE64.match(body, at, at + _SAMPLE).end() == at + _SAMPLE for at in range(0, step * _SAMPLES, step))  # type: ignore[union-attr]
    media_size = size * media // _SAMPLES
    return size - media_size + media_size // MEDIA_DISCOUNT


def form_size(fields: dict[str, str], size_bytes: int) -> int:
    """The bytes of a form that the input is estimated from: files count as a 64th."""
    text = sum(map(len, fields.values()))
    return text + max(0, size_bytes - text) // MEDIA_DISCOUNT
