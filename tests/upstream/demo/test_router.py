"""Paths and methods."""

from __future__ import annotations

import json

import pytest

from penstock.upstream.demo.answer import Answer
from penstock.upstream.demo.request import Request
from penstock.upstream.demo.router import answer_to
from penstock.upstream.demo.stock import Stock


def ask(method: str, path: str, **headers: str) -> Answer:
    answer = answer_to(Request(method, path.encode(), {name.encode(): value.encode() for name, value in headers.items()}, b"", Stock()))
    assert isinstance(answer, Answer)
    return answer


def test_the_root_says_who_is_here():
    assert "demo" in json.loads(ask("GET", "/").body)["models"]


def test_names_in_paths_are_decoded():
    assert json.loads(ask("GET", "/v1/models/%40cf%2Fvendor%2Fmodel").body)["id"] == "@cf/vendor/model"
    assert json.loads(ask("GET", "/v1/models/a/b").body)["id"] == "a/b"


def test_the_longer_path_wins():
    assert b"No such File object: x" in ask("GET", "/v1/files/x/content").body


def test_head_is_like_get():
    assert ask("HEAD", "/v1/models").status == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/v1/models/", 404),
        ("GET", "/v1/chat/completions", 405),
        ("PATCH", "/v1/files/x", 405),
        ("POST", "/v1/chat/completions", 400),
        ("POST", "/v1/messages", 400),
    ],
)
def test_everything_else_is_refused(method, path, status):
    assert ask(method, path).status == status


def test_a_wrong_method_is_told_the_right_ones():
    assert ask("PUT", "/v1/files/x").headers == b"allow: GET, DELETE\r\n"
