"""Paths: every spelling reaches the same place, nothing reaches outside, and what is metered is what the provider will see."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.relay import paths
from penstock.relay.paths import CACHED, ROOTS, find_target
from penstock.upstream.providers import PROVIDERS
from penstock.upstream.wires import WIRES

SPELLINGS = [
    "/v1/{}", "/{}", "//{}", "//v1/{}", "/v1//{}", "///v1///{}", "/v1/v1/{}", "/v1/v1/v1/{}", "//v1//v1//{}", "/v1/{}/", "/{}/", "/v1/{}//",
    "http://gateway/v1/{}", "https://gateway:8080/{}", "HTTP://gateway//v1/v1/{}/",
]  # fmt: skip
CLAIMED = [path.removeprefix("/v1/") for wire in WIRES.values() for path in wire.paths if path.startswith("/v1/")]


def target(url: str, method: str = "POST"):
    return find_target(method.encode(), url.encode("latin-1"))


@pytest.mark.parametrize("path", [*CLAIMED, "models", "models/@cf/meta/llama-3.1-8b-instruct", "files/file-1/content", "responses/resp_1"])
def test_every_spelling_reaches_the_same_place(path):
    for spelling in SPELLINGS:
        found = target(spelling.format(path))
        assert (found.path, found.query, found.refused) == (f"/v1/{path}", b"", False)
        assert found.wire is target(f"/v1/{path}").wire


@pytest.mark.parametrize(
    ("url", "path", "query"),
    [
        # Chatbox, its Claude and Responses types
        ("/v1/chat/completions", "/v1/chat/completions", b""), ("/v1/models", "/v1/models", b""), ("/messages", "/v1/messages", b""),
        ("/models?limit=990", "/v1/models", b"limit=990"), ("/responses", "/v1/responses", b""),
        # NextChat, Open WebUI, LibreChat
        ("/v1/images/generations", "/v1/images/generations", b""), ("//v1/audio/speech", "/v1/audio/speech", b""),
        ("/embeddings", "/v1/embeddings", b""), ("/chat/completions/", "/v1/chat/completions", b""),
        ("/v1/v1/chat/completions", "/v1/chat/completions", b""),
        # Claude Code and Codex
        ("/v1/messages?beta=true", "/v1/messages", b"beta=true"),
        ("/v1/messages/count_tokens?beta=true", "/v1/messages/count_tokens", b"beta=true"),
        ("/v1/models?client_version=0.1", "/v1/models", b"client_version=0.1"),
    ],
)  # fmt: skip
def test_what_clients_send(url, path, query):
    found = target(url)
    assert (found.path, found.query) == (path, query)
    assert found.wire is not None


@pytest.mark.parametrize(
    ("url", "path", "wire"),
    [
        ("/v1beta/models/gemini-2.5-flash:generateContent", "/v1beta/models/gemini-2.5-flash:generateContent", "gemini"),
        ("/v1/models/gemini-2.5-flash:streamGenerateContent?alt=sse", "/v1/models/gemini-2.5-flash:streamGenerateContent", "gemini"),
        ("/v1alpha/models/m:countTokens", "/v1alpha/models/m:countTokens", "gemini_count"),
        ("/v1beta/tunedModels/m:embedContent/", "/v1beta/tunedModels/m:embedContent", "gemini_embed"),
        ("/models/m:generateContent", "/v1/models/m:generateContent", "gemini"),
        ("/v1/v1beta//models/m:generateContent", "/v1beta/models/m:generateContent", "gemini"),
        ("/v1beta/v1/models/m:generateContent", "/v1/models/m:generateContent", "gemini"),
        ("/v1beta/models/@cf/meta/llama:generateContent", "/v1beta/models/@cf/meta/llama:generateContent", "gemini"),
        ("/v1beta/models/google%2Fm%3AgenerateContent", "/v1beta/models/google/m:generateContent", "gemini"),
        ("/v1beta/models/a%20b%3F%2523:generateContent", "/v1beta/models/a%20b%3F%2523:generateContent", "gemini"),
        ("/v1beta/models/%6d:gener%61teContent", "/v1beta/models/m:generateContent", "gemini"),
    ],
)
def test_models_that_are_called_by_their_address(url, path, wire):
    found = target(url)
    assert (found.path, found.wire) == (path, WIRES[wire])
    assert target(path).path == path


@pytest.mark.parametrize("url", ["/v1beta/files", "/v1beta/files/m:predict", "/v1beta/chat/completions"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_rest_of_googles_is_the_control_planes(url, method):
    assert target(url, method).wire is None


def test_every_wire_has_a_root():
    assert {path.split("/")[0] for path in CLAIMED} <= ROOTS


@pytest.mark.parametrize(
    "url",
    [
        "/",
        "",
        "//",
        "/logs",
        "/healthz",
        "/api/hello",
        "/api/v1/chat/completions",
        "/v1beta/files",
        "/vv1/chat",
        "*",
        "/dashboard/billing/usage",
        "/v1/dashboard/billing/usage?start_date=2026-10-01",
        "/V1/models",
    ],
)
def test_the_rest_is_the_control_planes(url):
    found = target(url, "GET")
    assert (found.wire, found.refused) == (None, False)


@pytest.mark.parametrize("url", ["/v1/dashboard/billing/usage/", "//v1/dashboard/billing/usage", "/v1/v1/dashboard//billing/usage?a=b"])
def test_the_old_billing_urls_are_one_however_they_are_written(url):
    found = target(url, "GET")
    assert (found.wire, found.respelled, found.path) == (None, True, "/v1/dashboard/billing/usage")
    assert target(url.replace("/v1", ""), "GET").path == "/dashboard/billing/usage"
    assert target("/healthz/", "GET").respelled is False


@pytest.mark.parametrize(
    ("method", "url", "path", "wire"),
    [
        ("POST", "/api/v1/ai/draw/flux/schnell", "/api/v1/ai/draw/flux/schnell", "flux"),
        ("POST", "//api//v1/ai/draw/flux/pro-11/", "/api/v1/ai/draw/flux/pro-11", "flux"),
        ("POST", "https://gateway/api/v1/ai/draw/nd/imagine", "/api/v1/ai/draw/nd/imagine", "nd"),
        ("GET", "/api/v1/openapi/search/google-search/v1?q=a&key=sk-a", "/api/v1/openapi/search/google-search/v1", "google_search"),
        ("GET", "/api/v1/openapi/azure/voices/v1", "/api/v1/openapi/azure/voices/v1", "azure_voices"),
        ("OPTIONS", "/api/v1/openapi/search/serper/v1", "/api/v1/openapi/search/serper/v1", "serper"),
        ("GET", "/api/v1/openapi/search/serper/v1", "/api/v1/openapi/search/serper/v1", None),
        ("POST", "/api/v1/ai/draw/flux/other", "/api/v1/ai/draw/flux/other", None),
        ("POST", "/api/v1/user/admin/balance", "/api/v1/user/admin/balance", None),
        ("POST", "/v1/api/v1/ai/draw/flux/schnell", "/v1/api/v1/ai/draw/flux/schnell", "passthrough"),
    ],
)
def test_the_platforms_own_paths(method, url, path, wire):
    found = target(url, method)
    assert (found.path, found.wire.name if found.wire is not None else None, found.refused) == (path, wire, False)


@pytest.mark.parametrize(("method", "wire"), [("POST", "chat"), ("GET", "passthrough"), ("DELETE", "passthrough"), ("HEAD", "passthrough")])
def test_wires_are_posted_to(method, wire):
    assert target("/v1/chat/completions", method).wire is WIRES[wire]


def test_realtime_is_a_websocket_and_so_a_get():
    assert target("/realtime?model=gpt-realtime", "GET").wire is WIRES["realtime"]
    assert target("/v1/realtime", "POST").wire is WIRES["passthrough"]
    assert target("/v1/realtime/sessions", "POST").wire is WIRES["passthrough"]


@pytest.mark.parametrize("url", ["/v2/models", "/v1/none/such", "/v1", "/v10/x"])
def test_unknown_paths_of_a_version_pass_through(url):
    found = target(url)
    assert (found.path, found.wire) == (url, WIRES["passthrough"])


@pytest.mark.parametrize("path", CLAIMED)
def test_an_encoded_path_is_metered_as_what_it_means(path):
    """Providers decode: else `/v1/%63hat/completions` would be an unmetered call of any model."""
    for spelling in (
        f"/v1/%{ord(path[0]):02x}{path[1:]}",
        f"/v1/{path[:-1]}%{ord(path[-1]):02X}",
        f"/v1/{path.replace('/', '%2F')}",
        "/v1/" + "".join(f"%{ord(character):02x}" for character in path),
        f"/v1/%2F{path}",
        f"/v1/v1%2F{path}",
        f"/v1/{path}%2f",
    ):
        found = target(spelling)
        assert (found.path, found.wire) == (f"/v1/{path}", target(f"/v1/{path}").wire)


def test_other_encoded_paths_are_forwarded_as_they_came():
    assert target("/v1/models/meta%2Fllama%203").path == "/v1/models/meta%2Fllama%203"
    assert target("/v1/files/%C3%A9%FF").path == "/v1/files/%C3%A9%FF"
    assert target("/v1/files/100%").path == "/v1/files/100%"


@pytest.mark.parametrize(
    "url",
    [
        "/v1/../admin", "/v1/..", "/..", "/v1/./chat/completions", "/v1/chat/.", "/../v1/chat/completions", "/v1/%2e%2e/admin",
        "/v1/%2E./admin", "/v1/.%2e/admin", "/v1/%2e/admin", "/v1/files/..%2fadmin", "/v1/files/..%2Fadmin", "/v1/%2e%2e%2fadmin",
        "/v1/x%2f..", "/v1/x%2f..%2f..%2fadmin", "/v1/..;/admin", "/v1/..;a=b/admin", "/v1/.;/x", "/v1/..%5cadmin",
        "/v1/x%5c..%5cadmin", "/v1/..\\admin", "\\v1\\models", "/v1/models\\", "/v1/\x00", "/v1/a b", "/v1/\x7f", "/v1/\x1f",
        "/v1/\xe9", "/v1/a\tb", "/v1/x\r\ny", "/v1/%00", "/v1/%0d%0ax", "/v1/%1f", "/v1/%7F", "/v1/x?a b", "/v1/x?\xe9", "/v1/x#\x00",
        "/logs/%00", "/logs/../v1",
    ],
)  # fmt: skip
def test_dot_segments_and_control_characters_are_refused(url):
    found = target(url)
    assert (found.refused, found.wire, found.path) == (True, None, "")


@pytest.mark.parametrize(
    "url", ["/v1/files/..x", "/v1/files/x..", "/v1/files/...", "/v1/files/.hidden", "/v1/files/a.b", "/v1/models/gpt-4.1;x"]
)
def test_dots_in_names_are_names(url):
    assert target(url).path == url


def test_fragments_and_queries():
    assert target("/v1/models#x?y").query == b""
    assert target("/v1/models#x?y").path == "/v1/models"
    assert target("/v1/models?a=b#c").query == b"a=b"
    assert target("/v1/models?a?b=/../c").query == b"a?b=/../c"
    assert target("/v1/models?").query == b""


TEXT = st.one_of(
    st.text("/.%25eE2fF\\;v1chatompleins?#", max_size=30),
    st.lists(
        st.sampled_from(["/", "//", "v1", "chat", "completions", "..", ".", "%2e", "%2f", "%2F", "%5c", ";", "%", "models", "%00"]),
        max_size=10,
    ).map("".join),
)


@given(TEXT, st.sampled_from(["GET", "POST"]), st.sampled_from(["", "/v1/"]))
def test_nothing_reaches_outside(text, method, prefix):
    found = paths._read(method.encode(), (prefix + text).encode("latin-1"))
    if found.refused:
        return
    assert found.path.startswith("/")
    assert found.path.isascii()
    assert "//" not in found.path
    assert not {".", ".."} & {*unquote(found.path).replace("\\", "/").split("/")}
    if found.wire is None:
        return
    assert found.path.startswith("/v")
    for base in ("/v1", "", "/proxy/openai/v1"):
        assert PROVIDERS["openai"].target(base, found.path).startswith(base.removesuffix("/v1") + "/")
        assert PROVIDERS["anthropic"].target(base, found.path).startswith(f"{base}/v")


@given(st.sampled_from(CLAIMED), st.data())
def test_a_path_under_v1_that_means_a_wire_is_that_wire(path, data):
    """However its characters are encoded and its slashes multiplied, once."""
    spelled = "".join(
        data.draw(
            st.sampled_from([character, f"%{ord(character):02x}", f"%{ord(character):02X}"] + (["//", "/%2F"] if character == "/" else []))
        )
        for character in path
    )
    assert target("/v1/" + spelled).wire is target("/v1/" + path).wire


@given(TEXT)
def test_normal_is_normal(text):
    """A path that was made normal stays as it is."""
    found = paths._read(b"POST", ("/v1/" + text).encode("latin-1"))
    if found.wire is not None:
        again = paths._read(b"POST", found.path.encode("ascii"))
        assert (again.path, again.wire) == (found.path, found.wire)


def test_look_ups_are_remembered_but_no_secrets_and_not_without_bound():
    assert target("/v1/models") is target("/v1/models")
    for number in range(CACHED * 2):
        target(f"/v1/files/{number}")
    assert len(paths._targets) <= CACHED
    target("/v1/models?key=sk-test")
    target("/v1/files/" + "x" * 600)
    assert not any(b"key=" in url or len(url) > 512 for _, url in paths._targets)


@given(st.text("aZ%:/. é", min_size=1, max_size=20))
def test_a_model_is_the_one_that_the_provider_will_see(name):
    """However a client has encoded it: the path that is forwarded means what was metered."""
    found = target(f"/v1beta/models/{quote(name, safe='')}:generateContent")
    if found.wire is not WIRES["gemini"]:
        return
    again = paths._read(b"POST", found.path.encode("ascii"))
    assert (again.path, again.wire) == (found.path, found.wire)
    assert " " not in found.path
    sent = unquote(found.path).removeprefix("/v1beta/models/").removesuffix(":generateContent")
    assert sent == re.sub("/+", "/", name).lstrip("/") or not name.strip("/")


@pytest.mark.timeout(5)
@pytest.mark.parametrize("piece", [":generateContent", ":", "/models/", "/", "/v1", "%25", "%2e", "..", "/a", "%2f", ".", ";", "%"])
def test_long_urls_are_read_in_no_time(piece):
    for _ in range(20):
        paths._read(b"POST", ("/v1" + piece * (16384 // len(piece))).encode())


@given(st.binary(max_size=40))
def test_any_url_is_read_or_refused(url):
    found = paths._read(b"GET", url)
    assert found.refused or quote(found.path, safe="/%!\"#$&'()*+,:;<=>?@[]^`{|}~") == found.path
