"""Which handler answers which method and path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import unquote

from penstock.upstream.demo import audio, chat, embeddings, files, images, messages, models, moderations, realtime, responses
from penstock.upstream.demo.answer import Answer, RefusedError, Stream, Switch, json_answer
from penstock.upstream.demo.refusals import refused
from penstock.upstream.demo.request import Request

Handler = Callable[[Request], Answer | Stream | Switch]


def _welcome(_: Request) -> Answer:
    """GET /: who is here."""
    return json_answer({"service": "Penstock demo provider", "models": list(models.MODELS)})


_ALL: tuple[Mapping[tuple[str, str], Handler], ...] = (
    {("GET", "/"): _welcome},
    chat.ROUTES,
    responses.ROUTES,
    messages.ROUTES,
    embeddings.ROUTES,
    images.ROUTES,
    audio.ROUTES,
    moderations.ROUTES,
    files.ROUTES,
    models.ROUTES,
    realtime.ROUTES,
)
_EXACT: dict[tuple[str, str], Handler] = {}
_NAMED: list[tuple[str, str, str, Handler]] = []
"""Method, what comes before the name in the path, what comes after it, handler."""

for _routes in _ALL:
    for (_method, _path), _one in _routes.items():
        _before, _mark, _after = _path.partition("{}")
        if _mark:
            _NAMED.append((_method, _before, _after, _one))
        else:
            _EXACT[_method, _path] = _one
_NAMED.sort(key=lambda named: -len(named[2]))


def _find(request: Request, method: str) -> Handler | None:
    if handler := _EXACT.get((method, request.path)):
        return handler
    for name, before, after, handler in _NAMED:
        if name == method and request.path.startswith(before) and request.path.endswith(after):
            request.rest = unquote(request.path[len(before) : len(request.path) - len(after)])
            return handler if request.rest else None
    return None


def _handler(request: Request) -> Handler:
    handler = _find(request, "GET" if request.method == "HEAD" else request.method)
    if handler is not None:
        return handler
    allowed = ", ".join(method for method in ("GET", "POST", "DELETE") if _find(request, method))
    if allowed:
        raise RefusedError(405, f"Not allowed to {request.method} on {request.path}.", headers=f"allow: {allowed}\r\n".encode())
    raise RefusedError(404, f"Unknown request URL: {request.method} {request.path}.", code="unknown_url")


def answer_to(request: Request) -> Answer | Stream | Switch:
    """The answer to a request; what is refused is answered in the request's dialect."""
    try:
        return _handler(request)(request)
    except RefusedError as refusal:
        return refused(request, refusal)
