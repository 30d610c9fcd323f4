from __future__ import annotations

import io
import json
import logging

import pytest

from penstock.infra import logs


@pytest.fixture
def stream():
    """Where log lines go; what pytest itself had configured is put back afterwards."""
    names = ("", "penstock", "uvicorn", "uvicorn.error", "uvicorn.asgi", "uvicorn.access")
    before = [(logging.getLogger(n), (g := logging.getLogger(n)).handlers, g.level, g.propagate) for n in names]
    yield io.StringIO()
    logging.captureWarnings(capture=False)
    for logger, handlers, level, propagate in before:
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


def test_a_json_line_carries_level_logger_message_request_id_and_extras(stream):
    logs.configure("json", "info", stream=stream)
    token = logs.request_id.set("req_1")
    try:
        logging.getLogger("penstock.relay").warning("slow %s", "provider", extra={"wait_ms": 12, "channel": "openai"})
    finally:
        logs.request_id.reset(token)
    line = json.loads(stream.getvalue())
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "warning",
        "logger": "penstock.relay",
        "message": "slow provider",
        "request_id": "req_1",
        "wait_ms": 12,
        "channel": "openai",
    }


def test_an_explicit_request_id_wins(stream):
    logs.configure("json", "info", stream=stream)
    token = logs.request_id.set("req_context")
    try:
        logging.getLogger("penstock").error("x", extra={"request_id": "req_given"})
    finally:
        logs.request_id.reset(token)
    assert json.loads(stream.getvalue())["request_id"] == "req_given"


def test_a_console_message_stays_on_one_line(stream):
    logs.configure("console", "info", stream=stream)
    logging.getLogger("penstock").info("client said %s", "a\r\n2030-01-01 error penstock: forged", extra={"path": "/v1"})
    lines = stream.getvalue().splitlines()
    assert len(lines) == 1
    assert "info    penstock: client said a\\r\\n2030" in lines[0]
    assert lines[0].endswith("path=/v1")


@pytest.mark.parametrize("form", ["console", "json"])
def test_an_exception_is_shown_without_its_secrets(stream, form):
    logs.configure(form, "info", stream=stream)
    try:
        raise ValueError("refused for sk-abcdefghijklmnop")
    except ValueError:
        logging.getLogger("penstock").exception("failed")
    text = stream.getvalue()
    assert "ValueError: refused for sk-..." in text
    assert "abcdefgh" not in text
    if form == "console":
        assert all(line.startswith("    ") for line in text.splitlines()[1:])
    else:
        assert json.loads(text)["exception"].startswith("Traceback")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("key sk-abcdefghijklmnop used", "key sk-... used"),
        ("authorization: Bearer abc.def-1", "authorization: Bearer ..."),
        ("{'authorization': 'plainkey1'}", "{'authorization': '...'}"),
        ("(b'x-api-key', b'secret12')", "(b'x-api-key', b'...')"),
        ("x-goog-api-key=abcdef", "x-goog-api-key=..."),
        ("GET /v1/models?key=abc&x=1", "GET /v1/models?key=...&x=1"),
        ("/logs?format=csv&key=abc HTTP", "/logs?format=csv&key=... HTTP"),
        ("?access_token=abc", "?access_token=..."),
        ("/my-own-token/register/bob", "/.../register/bob"),
        ("the monkey=1 and task-force stay", "the monkey=1 and task-force stay"),
    ],
)
def test_secrets_are_redacted(text, shown):
    assert logs.Redactor(["my-own-token", "abc" * 40, "no"])(text) == shown


def test_extras_are_redacted_too(stream):
    logs.configure("json", "info", stream=stream)
    logging.getLogger("penstock").info("x", extra={"headers": {"authorization": "Bearer abcdefgh"}})
    assert json.loads(stream.getvalue())["headers"] == "{'authorization': 'Bearer ...'}"


def test_uvicorn_speaks_through_us_and_its_access_log_is_silent(stream):
    logging.getLogger("uvicorn.access").handlers = [logging.StreamHandler(stream)]
    logs.configure("json", "info", stream=stream)
    logging.getLogger("uvicorn.access").info("GET /")
    logging.getLogger("uvicorn.error").info("started", extra={"color_message": "x"})
    line = json.loads(stream.getvalue())
    assert (line["logger"], line["message"]) == ("uvicorn", "started")
    assert "color_message" not in line


def test_libraries_speak_from_warnings_up(stream):
    logs.configure("console", "debug", stream=stream)
    logging.getLogger("somelibrary").info("quiet")
    logging.getLogger("somelibrary").warning("loud")
    logging.getLogger("penstock").debug("ours")
    text = stream.getvalue()
    assert "quiet" not in text
    assert "loud" in text
    assert "ours" in text


def test_configuring_twice_writes_once(stream):
    logs.configure("json", "info", stream=stream)
    logs.configure("json", "error", stream=stream)
    logging.getLogger("penstock").error("once")
    logging.getLogger("penstock").info("not at this level")
    assert len(stream.getvalue().splitlines()) == 1
