"""Forms: multipart/form-data (RFC 7578) and url-encoded bodies that have arrived whole."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

import msgspec

from penstock.upstream.demo.answer import RefusedError

_BOUNDARY = re.compile(rb'boundary=(?:"([^"]{1,200})"|([^\s;"]{1,200}))', re.IGNORECASE)
_PARAMETER = re.compile(rb';\s*(name|filename)="((?:[^"\\]|\\.)*)"', re.IGNORECASE)
_KIND = re.compile(rb"^content-type:[ \t]*([^\r\n]*)", re.IGNORECASE | re.MULTILINE)


class Upload(msgspec.Struct):
    """A file of a form."""

    field: str
    name: str
    kind: str
    content: bytes


class Form(msgspec.Struct):
    """The plain fields (the last of a repeated name) and the files of a form."""

    fields: dict[str, str]
    files: list[Upload]

    def file(self, field: str) -> Upload:
        """The first file of this field (also as `field[]`). Raises `RefusedError` 400."""
        for upload in self.files:
            if upload.field.removesuffix("[]") == field:
                return upload
        raise RefusedError(400, f"Missing required parameter: '{field}'.", code="missing_required_parameter", param=field)

    def field(self, name: str) -> str:
        """A plain field that must be there. Raises `RefusedError` 400."""
        if name not in self.fields:
            raise RefusedError(400, f"Missing required parameter: '{name}'.", code="missing_required_parameter", param=name)
        return self.fields[name]


def _section(section: bytes, form: Form) -> None:
    head, gap, content = section.partition(b"\r\n\r\n")
    parameters = {name.lower(): value.replace(b'\\"', b'"').decode("utf-8", "replace") for name, value in _PARAMETER.findall(head)}
    if not gap or b"name" not in parameters:
        raise RefusedError(400, "A part of the multipart body has no name.")
    if b"filename" not in parameters:
        form.fields[parameters[b"name"]] = content.decode("utf-8", "replace")
        return
    kind = _KIND.search(head)
    form.files.append(Upload(parameters[b"name"], parameters[b"filename"], kind[1].decode("latin-1") if kind else "", content))


def parse_form(body: bytes, content_type: bytes) -> Form:
    """The form in `body`. Raises `RefusedError` 400 when it is not one, or ends before its last boundary."""
    form = Form({}, [])
    if content_type.startswith(b"application/x-www-form-urlencoded"):
        form.fields.update(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        return form
    boundary = _BOUNDARY.search(content_type)
    if not content_type.startswith(b"multipart/form-data") or not boundary:
        raise RefusedError(400, "This path expects multipart/form-data with a boundary.")
    sections = (b"\r\n" + body).split(b"\r\n--" + (boundary[1] or boundary[2]))
    if len(sections) < 2 or not sections[-1].startswith(b"--"):
        raise RefusedError(400, "The multipart body ends before its last boundary.")
    for section in sections[1:-1]:
        _section(section, form)
    return form
