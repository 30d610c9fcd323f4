"""Downloads: files from anywhere but private networks, wherever their URLs lead, and no more of them than asked for."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest

from fake_answers import gzipped, head
from fake_provider import FakeProvider, close, hang
from fake_proxy import FakeProxy
from penstock.infra.outbound import resolve
from penstock.kit.errors import PenstockError
from penstock.upstream.client.connection import UpstreamError
from penstock.upstream.client.download import URL_LIMIT, Downloader, Means, download
from penstock.upstream.client.proxy import Proxy

PICTURE = head(200, "content-length: 4", kind="image/png") + b"\x89PNG"


async def made_up(host: str, port: int) -> list[str]:
    """Names of example are at this host, and nothing else is excused."""
    return ["127.0.0.1"] if host.endswith(".example") else await resolve(host, port)


@pytest.fixture
def means() -> Means:
    return Means(ssl.create_default_context(), look_up=made_up)


def at(provider: FakeProvider, path: str = "/", host: str = "files.example") -> str:
    return f"http://{host}:{provider.port}{path}"


def moved(to: str, status: int = 302) -> bytes:
    return head(status, f"location: {to}", "content-length: 0", "set-cookie: a=b")


async def failure(coroutine) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        await coroutine
    return caught.value


async def test_a_file(means, provider):
    provider.script(PICTURE)
    found = await download(at(provider, "/a%20b/\xe9?x=1&y=%2F#part"), means)
    assert (found.status, found.content_type, found.body) == (200, "image/png", b"\x89PNG")
    asked = provider.requests[0]
    assert (asked.method, asked.target) == ("GET", "/a%20b/%C3%A9?x=1&y=%2F")
    assert asked.header("host") == f"files.example:{provider.port}".encode()
    assert set(asked.names()) == {"host", "accept", "accept-encoding", "user-agent", "connection"}
    await provider.until_closed()


async def test_over_tls(authority):
    async with FakeProvider(authority.server("files.example")) as provider:
        provider.script(PICTURE)
        found = await download(f"https://files.example:{provider.port}", Means(authority.client(), look_up=made_up))
        assert found.body == b"\x89PNG"


async def test_through_a_proxy(provider):
    async with FakeProxy("user:secret", {"files.example": provider.port}) as proxy:
        found = await download("http://files.example/x", Means(ssl.create_default_context(), Proxy.of(proxy.url)))
        assert (found.status, proxy.asked) == (200, ["files.example:80"])


async def test_what_was_compressed(means, provider):
    provider.script(gzipped(b"hello"))
    assert (await download(at(provider), means, 50)).body == b"hello"


async def test_an_error_is_an_answer(means, provider):
    provider.script(head(404, "content-length: 2") + b"no")
    assert (await download(at(provider), means)).status == 404


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_followed_without_what_they_set(means, provider, status):
    provider.script(moved("/b/c?d", status)).script(moved(at(provider, "/e", "other.example"))).script(PICTURE)
    assert (await download(at(provider, "/a"), means)).body == b"\x89PNG"
    assert [asked.target for asked in provider.requests] == ["/a", "/b/c?d", "/e"]
    assert all(asked.header("cookie") is None for asked in provider.requests)


async def test_not_for_ever(means, provider):
    provider.always(moved("/again"))
    assert "more than 3" in str(await failure(download(at(provider), means)))
    assert len(provider.requests) == 4


async def test_a_redirect_that_leads_nowhere_is_the_answer(means, provider):
    provider.script(head(302, "content-length: 0"))
    assert (await download(at(provider), means)).status == 302


@pytest.mark.parametrize(
    "to", ["http://127.0.0.1:{}/", "http://localhost:{}/", "http://[::ffff:127.0.0.1]:{}/", "http://169.254.169.254/", "//10.0.0.1/x"]
)
async def test_a_redirect_into_a_private_network_is_refused(means, provider, to):
    provider.script(moved(to.format(provider.port)))
    with pytest.raises(PenstockError) as caught:
        await download(at(provider), means)
    assert caught.value.code == "private_address"
    assert len(provider.requests) == 1


@pytest.mark.parametrize(
    "to", ["file:///etc/passwd", "ftp://files.example/", "http://user:pw@files.example/", "http://[", "data:text/plain,x"]
)
async def test_a_redirect_to_something_else(means, provider, to):
    provider.script(moved(to))
    assert (await failure(download(at(provider), means))).kind == "invalid"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/etc/passwd",
        "file:///etc/passwd",
        "http://",
        "http://a b/",
        "http://x.example/\r\nx: y",
        "x" * URL_LIMIT + "x",
        "http://user:secret@files.example",
        "http://a..example",
    ],
)
async def test_what_is_no_url(means, url):
    error = await failure(download(url, means))
    assert (error.kind, "secret" in str(error)) == ("invalid", False)


async def test_private_networks_may_be_allowed(provider):
    found = await download(provider.url, Means(ssl.create_default_context(), allow_private=True))
    assert found.status == 200


@pytest.mark.parametrize(("script", "kind"), [((head(200, "content-length: 5") + b"hello",), "invalid"), ((close,), "broken")])
async def test_what_does_not_come(means, provider, script, kind):
    provider.script(*script)
    assert (await failure(download(at(provider), means, 4))).kind == kind
    await provider.until_closed()


async def test_what_does_not_come_in_time(provider):
    provider.script(head(200, "content-length: 5"), hang)
    means = Means(ssl.create_default_context(), look_up=made_up, total_s=0.05)
    assert (await failure(download(at(provider), means))).kind == "timeout"
    await provider.until_closed()


async def test_a_downloader_knows_one_kind_of_failure(means, provider):
    provider.script(PICTURE)
    fetch: Any = Downloader(means, 4)
    assert (await fetch(at(provider))).body == b"\x89PNG"
    assert "allow_private" in str(await failure(fetch("http://127.0.0.1/")))
    await asyncio.sleep(0)
