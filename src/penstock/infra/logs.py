"""Logs: one line for people or one JSON object for machines, on stderr, with the request id and without secrets."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import IO, Any, Literal

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The exchange a log line belongs to; set by whoever starts to work for it. `extra={"request_id": ...}` wins over it."""

_OURS = ("penstock", "uvicorn")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "request_id", "taskName", "color_message"}
_SECRETS = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[^\s\"'\\,]+"), r"\1 ..."),
    (re.compile(r"(?i)([?&](?:api_?)?(?:key|access_token|token|secret)=)[^&\s\"'\\]+"), r"\1..."),
    (
        re.compile(r"(?i)\b((?:x-goog-|x-)?api-key|authorization)((?:b?[\"'])?\s*[:=,]\s*(?:b?[\"'])?)(?!bearer|basic)[^\s\"'\\,]+"),
        r"\1\2...",
    ),
    (re.compile(r"\b(sk-|AIza|omg-oat-)[\w.-]{6,}"), r"\1..."),
)


class Redactor:
    """Takes secrets out of text: whatever looks like a credential, and the given values wherever they stand."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._known = sorted((secret for secret in secrets if len(secret) >= 4), key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """The text with every secret shown as three dots."""
        for secret in self._known:
            text = text.replace(secret, "...")
        for pattern, shown in _SECRETS:
            text = pattern.sub(shown, text)
        return text


class _Lines(logging.Formatter):
    """What both formats have in common: the facts of a log line, redacted."""

    def __init__(self, redact: Redactor) -> None:
        super().__init__()
        self._redact = redact

    def _facts(self, record: logging.LogRecord) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": "uvicorn" if record.name.startswith("uvicorn") else record.name,
            "message": self._redact(record.getMessage()),
        }
        if exchange := getattr(record, "request_id", None) or request_id.get():
            facts["request_id"] = exchange
        for name, value in vars(record).items():
            if name not in _STANDARD:
                facts[name] = value if isinstance(value, int | float | None) else self._redact(str(value))
        if record.exc_info:
            facts["exception"] = self._redact(self.formatException(record.exc_info))
        return facts


class JsonLines(_Lines):
    """One JSON object a line: time, level, logger, message, request_id, exception, and whatever `extra` brought."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        return json.dumps(self._facts(record), ensure_ascii=False)


class Console(_Lines):
    """One line for people; an exception follows on lines of its own, indented."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        facts = self._facts(record)
        when, level, logger = facts.pop("time"), facts.pop("level"), facts.pop("logger")
        exception = facts.pop("exception", "")
        # A message may quote what a client sent: a line break in it must not look like another log line.
        message = facts.pop("message").replace("\r", "\\r").replace("\n", "\\n")
        line = f"{when} {level:7} {logger}: {message}" + "".join(f" {name}={value}" for name, value in facts.items())
        return line + "".join(f"\n    {part}" for part in exception.splitlines())


def configure(
    format: Literal["console", "json"],  # noqa: A002  the setting's own name
    level: str,
    *,
    secrets: Iterable[str] = (),
    stream: IO[str] | None = None,
) -> None:
    """Send every log line of this process to `stream` (stderr), in one format.

    `level` is for Penstock and its server; libraries only speak from warnings up. `secrets` are values that must never be
    written, such as tokens that travel in paths. uvicorn must be started with `log_config=None`; its access log is off:
    charges and records say more. May be called again.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    redact = Redactor(secrets)
    handler.setFormatter(JsonLines(redact) if format == "json" else Console(redact))
    logging.root.handlers = [handler]
    logging.root.setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))
    for name in _OURS:
        logging.getLogger(name).setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.asgi", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], name != "uvicorn.access"
    logging.captureWarnings(capture=True)
