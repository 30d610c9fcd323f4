"""Whatever is wrong with a channel: clear errors, a verdict for the operator, nothing charged, and the next request is served."""

from __future__ import annotations

import asyncio
import threading

import httpx
import pytest

from bridge_stage import add_channel
from fake_answers import answer, chat_answer
from fake_faults import PLAIN
from fake_provider import FakeProvider, close, hang, hold, refusing_port, silent_port
from fake_proxy import FakeProxy
from penstock.accounts.identity import CLI
from penstock.channels.drafts import Draft
from penstock.channels.service import Given
from penstock.kit.errors import PenstockError

SECRET = "sk-placeholder-0123456789-wxyz"
SAID = {"error": {"message": f"no such key: {SECRET}", "code": "invalid_api_key"}}
GONE = {"error": {"message": "The model `x` does not exist", "code": "model_not_found"}}
OBJECT = {"success": False, "errors": {"code": 7003, "message": "kaputt"}, "messages": [], "result": None}
ELSEWHERE = "location: https://elsewhere.example/v1/x?key=hidden-word"
PAGE = b"<html><h1>Welcome</h1></html>"

FAULTS = {
    # what the provider does; the status for a client of its own wire and of another; the verdict; why the breaker opens at once, if so
    "wrong key": ((answer(SAID, 401),), 401, 401, "wrong_key", "401 Unauthorized"),
    "wrong URL": ((answer(PAGE, 404, kind="text/html"),), 404, 404, "not_found", None),
    "redirect": ((answer(b"", 308, ELSEWHERE),), 502, 502, "redirect", None),
    "HTML 200": ((answer(PAGE, kind="text/html"),), 502, 502, "web_page", None),
    "HTML 502": ((answer(PAGE, 502, kind="text/html"),), 502, 502, "provider_error", None),
    "errors as an object": ((answer(OBJECT),), 502, 502, "error_object", None),
    "empty success": ((answer(b""),), 502, 502, "empty", None),
    "model that vanished": ((answer(GONE, 404),), 404, 404, "model_gone", "404 Not Found: the provider does not have the model"),
    "no money": ((answer({"error": {"code": "insufficient_quota"}}, 429),), 429, 429, "quota", "the quota is used up"),
    "not HTTP": ((b"SSH-2.0-OpenSSH_9.6\r\n\r\n", close), 502, 502, "broken", None),
    "closes": ((close,), 502, 502, "broken", None),
    "never answers": ((hang,), 504, 504, "timeout", None),
    "stalls in its answer": ((PLAIN[:-20], hang), 504, 504, "timeout", None),
}


@pytest.fixture(scope="module")
def gateway(make_gateway):
    return make_gateway(demo=True, show_channel=True)


@pytest.fixture
def provider(loop_thread):
    fake = loop_thread.run(FakeProvider().start())
    yield fake
    loop_thread.run(fake.stop())


@pytest.fixture
def add(gateway):
    """Makes a channel of the test, which is deleted after it."""
    made = []

    def make(base_url: str, name: str = "main", **more) -> str:
        more = {"provider": "deepseek", "models": [("owl", "deepseek-chat")], "secrets": (SECRET,)} | more
        made.append(add_channel(gateway, name, base_url, **more))
        return made[-1]

    yield make
    for each in made:
        gateway.run(gateway.app.state.channels.delete(CLI, each))
    assert gateway._until(lambda: all(channel.terms.id not in made for channel in gateway.plane.channels))


def ask(gateway, wire: str = "chat", model: str = "owl", **more) -> httpx.Response:
    path = {"chat": "chat/completions", "messages": "messages", "responses": "responses"}[wire]
    said = {"input": "Hello"} if wire == "responses" else {"messages": [{"role": "user", "content": "Hello"}]}
    return httpx.post(
        f"{gateway.url}/v1/{path}",
        headers={"authorization": f"Bearer {gateway.key}"},
        json={"model": model, "max_tokens": 64, **said, **more},
        timeout=20,
    )


def verdict(gateway, ref: str = "main") -> tuple[str, str]:
    (trial,) = gateway.run(gateway.app.state.trials.test(ref))
    return trial.verdict.code, trial.verdict.text


def reasons(gateway, name: str = "main") -> str:
    states = (state for channel in gateway.plane.channels if channel.name == name for state in channel.breakers.states())
    return "; ".join(state.reason for state in states)


def recovers(gateway, provider) -> None:
    """The next request is served, by the same channel."""
    provider.always(PLAIN)
    served = ask(gateway)
    assert (served.status_code, served.headers["x-penstock-channel"]) == (200, "main")
    assert gateway._until(lambda: not reasons(gateway))


def costs_nothing(gateway, *answers: httpx.Response) -> None:
    gateway.check_quiet()
    ids = {answered.headers["x-request-id"] for answered in answers}
    assert all(row["cost_nano"] == 0 for row in gateway.charges() if row["id"] in ids)


@pytest.mark.parametrize("fault", FAULTS)
def test_what_a_provider_does_wrong(gateway, add, provider, fault):
    steps, own, other, code, reason = FAULTS[fault]
    add(f"{provider.url}/v1", timeouts={"first_byte_s": 0.3, "idle_s": 0.3})
    provider.always(*steps)
    chat, messages = ask(gateway), ask(gateway, "messages")
    assert (chat.status_code, messages.status_code) == (own, other)
    body = messages.json()
    assert (body["type"], len(body["error"]["message"]) > 10) == ("error", True)
    if "HTML" not in fault and fault != "wrong URL":  # the error of a provider is passed on as it came
        assert chat.json()["error"]
    for text in (chat.text, messages.text):
        assert SECRET not in text and "hidden-word" not in text
    assert (reason or "") in reasons(gateway)
    assert reason or not reasons(gateway)
    found, words = verdict(gateway)
    assert found == code and len(words) > 10 and SECRET not in words and "hidden-word" not in words
    costs_nothing(gateway, chat, messages)
    recovers(gateway, provider)


@pytest.mark.parametrize(
    ("opens", "code"),
    [(refusing_port, "refused"), (silent_port, "timeout")],
)
def test_nobody_is_there(gateway, add, provider, opens, code):
    with opens() as port:
        add(f"http://127.0.0.1:{port}/v1", timeouts={"connect_s": 0.2})
        answers = [ask(gateway, wire) for wire in ("chat", "messages", "responses")]
        assert [each.status_code for each in answers] == [502 if code == "refused" else 504] * 3
        assert verdict(gateway)[0] == code
        assert "no connection to 127.0.0.1" in reasons(gateway)
        costs_nothing(gateway, *answers)
    gateway.run(gateway.app.state.channels.change(CLI, "main", {"base_url": f"{provider.url}/v1"}))
    assert gateway._until(lambda: any(channel.base_url.startswith(provider.url) for channel in gateway.plane.channels))
    assert not reasons(gateway)
    recovers(gateway, provider)


def test_a_host_that_nobody_knows(gateway, add):
    add("http://nobody-knows-this.invalid/v1")
    assert ask(gateway).status_code == 502
    assert verdict(gateway)[0] == "dns"


@pytest.mark.parametrize("tls", ["stranger", "wrong host", "none"])
def test_tls_that_cannot_be_trusted(make_gateway, loop_thread, authority, stranger, ca_file, tls):
    gateway = make_gateway(own_keys=True, ca_file=ca_file)
    context = {"stranger": stranger.server(), "wrong host": authority.server("wrong.example"), "none": None}[tls]
    provider = FakeProvider(tls=context)
    loop_thread.run(provider.start())
    if tls == "none":
        provider.greet(b"HTTP/1.1 400 Bad Request\r\n\r\n", close)
    add_channel(gateway, "main", f"https://127.0.0.1:{provider.port}/v1", provider="deepseek", models=[("owl", "deepseek-chat")])
    answered = ask(gateway, "messages")
    assert (answered.status_code, answered.json()["type"]) == (502, "error")
    assert "TLS" in answered.json()["error"]["message"] and verdict(gateway)[0] == "tls"
    assert provider.requests == []
    costs_nothing(gateway, answered)
    loop_thread.run(provider.stop())


PROXIES = {
    "needs a password": ({"credentials": "user:other-word"}, "http://user:hidden-word@", 502, "wants other credentials"),
    "refuses": ({"answer": b"HTTP/1.1 403 Forbidden\r\n\r\n"}, "http://user:hidden-word@", 502, "does not let us"),
    "is none": ({"answer": b"SSH-2.0-OpenSSH_9.6\r\n\r\n"}, "http://", 502, "does not answer in HTTP"),
    "hangs": ({"answer": b""}, "http://user:hidden-word@", 504, "no connection"),
}


@pytest.mark.parametrize("fault", PROXIES)
def test_a_proxy_that_does_not_help(gateway, add, provider, loop_thread, fault):
    given, scheme, status, words = PROXIES[fault]
    proxy = FakeProxy(**given)
    loop_thread.run(proxy.__aenter__())
    add(f"{provider.url}/v1", proxy=f"{scheme}127.0.0.1:{proxy.port}", timeouts={"connect_s": 0.3})
    answered = ask(gateway, "messages")
    assert (answered.status_code, answered.json()["type"]) == (status, "error")
    code, told = verdict(gateway)
    assert code == ("timeout" if fault == "hangs" else "proxy") and words in told
    for text in (answered.text, told, reasons(gateway)):
        assert "hidden-word" not in text and "other-word" not in text
    assert provider.requests == []
    costs_nothing(gateway, answered)
    gateway.run(gateway.app.state.channels.change(CLI, "main", {"proxy": None}))
    assert gateway._until(lambda: any(each.name == "main" and each.pool.proxy is None for each in gateway.plane.channels))
    recovers(gateway, provider)
    loop_thread.run(proxy.__aexit__(None, None, None))


PRIVATE = [
    "http://127.0.0.1:9/v1", "http://localhost/v1", "http://LOCALHOST./v1", "http://x.localhost/v1", "http://[::1]/v1", "http://[::]/v1",
    "http://[::ffff:127.0.0.1]/v1", "http://[64:ff9b::7f00:1]/v1", "http://[2002:7f00:1::]/v1", "http://[fd00::1]/v1", "http://[fe80::1]/v1",
    "http://2130706433/v1", "http://0x7f000001/v1", "http://0x7f.1/v1", "http://0177.0.0.1/v1", "http://127.1/v1", "http://0/v1",
    "http://10.0.0.1/v1", "http://169.254.169.254/v1", "http://100.64.0.1/v1", "http://metadata.google.internal/v1",
]  # fmt: skip


@pytest.mark.parametrize("url", PRIVATE)
def test_private_networks_are_refused(gateway, url):
    with pytest.raises(PenstockError) as refused:
        gateway.run(gateway.app.state.channels.create(CLI, Draft("near", "deepseek", url), [Given(SECRET)]))
    assert (refused.value.code, refused.value.param) == ("private_address", "base_url")


ODD_URLS = [
    "http://user:hidden-word@api.example/v1", "http://%31%32%37.0.0.1/v1", "http://a\\b.example/v1", "http://a.example:0/v1",
    "http://a.example:65536/v1", "http:///v1", "http://a.example/v1?x", "http://\uff11\uff12\uff17.0.0.1/v1", "http://a.example/v1\r\nx: y",
    "file:///etc/passwd", "http://[::1/v1",
]  # fmt: skip


@pytest.mark.parametrize("url", ODD_URLS)
def test_what_is_no_base_url(gateway, url):
    with pytest.raises(PenstockError) as refused:
        gateway.run(gateway.app.state.channels.create(CLI, Draft("odd", "deepseek", url), [Given(SECRET)]))
    assert (refused.value.code, refused.value.param) == ("invalid_request", "base_url")
    assert "hidden-word" not in refused.value.message


def test_all_channels_down(gateway, add, provider):
    """It says which and why, and when to come back; what is reset is asked again."""
    provider.always(answer(SAID, 401))
    for name in ("one", "two"):
        add(f"{provider.url}/v1", name, models=[("hen", "deepseek-chat")])
    assert ask(gateway, model="hen").status_code == 401  # of the last that was asked
    answers = [ask(gateway, wire, "hen") for wire in ("chat", "messages", "responses")]
    assert [each.status_code for each in answers] == [503] * 3
    assert answers[0].json()["error"]["code"] == "all_channels_down"
    assert answers[1].json()["error"]["type"] == "overloaded_error"
    for each in answers:
        assert "one: 401 Unauthorized" in each.text and "two: 401 Unauthorized" in each.text and SECRET not in each.text
        assert 1 <= int(each.headers["retry-after"]) <= 60
    costs_nothing(gateway, *answers)
    provider.always(answer(chat_answer()))
    assert gateway._until(lambda: len(gateway.run(_rows(gateway))) >= 2)
    for name in ("one", "two"):
        gateway.run(gateway.app.state.channels.reset(CLI, name))
    assert gateway._until(lambda: not reasons(gateway, "one") and not reasons(gateway, "two"))
    assert ask(gateway, model="hen").status_code == 200


async def _rows(gateway) -> list[object]:
    return [breaker for whole in await gateway.app.state.channels.all() for breaker in whole.breakers]


def test_what_a_bridge_cannot_express(gateway, add, provider):
    add(f"{provider.url}/v1")
    asked = ask(gateway, "messages", tools=[{"type": "web_search_20250305", "name": "web_search"}])
    assert (asked.status_code, asked.json()["error"]["type"]) == (400, "invalid_request_error")
    assert "web_search" in asked.text and provider.requests == []
    assert not reasons(gateway)
    costs_nothing(gateway, asked)
    recovers(gateway, provider)


def test_it_is_deleted_while_it_answers(gateway, provider, loop_thread):
    """What runs goes on to its end."""
    add_channel(gateway, "brief", f"{provider.url}/v1", provider="deepseek", models=[("wren", "deepseek-chat")])
    gate = asyncio.Event()
    provider.script(PLAIN[:100], hold(gate), PLAIN[100:])
    answers: list[httpx.Response] = []
    asking = threading.Thread(target=lambda: answers.append(ask(gateway, model="wren")))
    asking.start()
    loop_thread.run(provider.until_requests(1))
    gateway.run(gateway.app.state.channels.delete(CLI, "brief"))
    assert gateway._until(lambda: all(channel.name != "brief" for channel in gateway.plane.channels))

    async def let_go() -> None:
        gate.set()

    loop_thread.run(let_go())
    asking.join(20)
    assert answers[0].status_code == 200
    assert ask(gateway, model="wren").headers["x-penstock-channel"] == "demo"
    assert len(provider.requests) == 1
