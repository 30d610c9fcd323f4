"""Whole gateways for tests over real sockets. What a gateway must not leave behind is checked when it ends."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from fake_answers import answer, chunked
from fake_provider import FakeProvider
from live_gateway import LiveGateway
from loop_thread import LoopThread
from penstock.accounts.identity import CLI
from penstock.channels.drafts import Draft
from penstock.channels.service import Given
from penstock.upstream.demo.server import DemoServer
from raw_client import Answer, RawClient, bearer, request
from stage import Stage
from wiretap import Wiretap

if TYPE_CHECKING:
    from bridge_stage import BridgeStage


@pytest.fixture(scope="module")
def make_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., LiveGateway]]:
    """Starts a gateway with the given settings; all of them end, and are checked, after the module."""
    with contextlib.ExitStack() as stack:
        yield lambda **settings: stack.enter_context(LiveGateway(tmp_path_factory.mktemp("gateway"), **settings))


@pytest.fixture(scope="module")
def gateway(make_gateway: Callable[..., LiveGateway]) -> LiveGateway:
    """A gateway with the demo provider, shared by the tests of a module."""
    return make_gateway(demo=True)


@pytest.fixture(scope="module")
def module_vendor(loop_thread: LoopThread) -> Iterator[FakeProvider]:
    """A scripted provider that the tests of a module share; ask for `vendor`."""
    fake = loop_thread.run(FakeProvider().start())
    yield fake
    loop_thread.run(fake.stop())


@pytest.fixture
def vendor(module_vendor: FakeProvider, vendor_gateways: list[LiveGateway]) -> Iterator[FakeProvider]:
    """The scripted provider behind `vendor_gateway`, without memory of other tests. It runs on the loop thread."""
    for gateway in vendor_gateways:
        if gateway.running:
            gateway.check_quiet()
    module_vendor.requests.clear()
    module_vendor._scripts.clear()
    module_vendor.greet()
    module_vendor.always(answer({"ok": True}))
    yield module_vendor
    assert not module_vendor._scripts, "a script was not used"


@pytest.fixture(scope="module")
def vendor_gateways() -> list[LiveGateway]:
    """The gateways of the module that relay to `vendor`."""
    return []


@pytest.fixture(scope="module")
def make_vendor_gateway(
    make_gateway: Callable[..., LiveGateway], module_vendor: FakeProvider, vendor_gateways: list[LiveGateway]
) -> Callable[..., LiveGateway]:
    """Starts a gateway with the given settings whose OpenAI and Anthropic are `vendor`."""

    def make(**settings: Any) -> LiveGateway:
        urls = {"openai_base_url": f"{module_vendor.url}/v1", "anthropic_base_url": module_vendor.url}
        vendor_gateways.append(make_gateway(openai_api_key="sk-vendor", anthropic_api_key="sk-ant-vendor", **urls, **settings))
        return vendor_gateways[-1]

    return make


@pytest.fixture(scope="module")
def vendor_gateway(make_vendor_gateway: Callable[..., LiveGateway]) -> LiveGateway:
    """A gateway that relays to `vendor`, shared by the tests of a module."""
    return make_vendor_gateway()


@pytest.fixture(scope="module")
def make_crossroads(
    make_gateway: Callable[..., LiveGateway], module_vendor: FakeProvider, vendor_gateways: list[LiveGateway]
) -> Callable[..., LiveGateway]:
    """Starts a gateway with three channels to `vendor`, each of which speaks one wire: all clients come to any of them over a bridge.

    Models are named after the wire they are served on, for programs of either kind: `claude-by-chat`, `gpt-by-messages` and so on.
    """

    def make(**settings: Any) -> LiveGateway:
        gateway = make_gateway(own_keys=True, show_channel=True, **settings)
        for wire, served in (("chat", "gpt-4o"), ("messages", "claude-sonnet-4-5"), ("responses", "gpt-5")):
            provider, path = ("anthropic-compatible", "") if wire == "messages" else ("openai-compatible", "/v1")
            models = tuple((f"{kind}-by-{wire}", served) for kind in ("claude", "gpt"))
            draft = Draft(wire, provider, module_vendor.url + path, models, wires=(wire,), allow_private=True, discover=False)
            if wire == "messages":
                draft = replace(draft, wires=("messages", "count_tokens"))
            gateway.run(gateway.app.state.channels.create(CLI, draft, [Given("sk-vendor-placeholder")]))
        assert gateway._until(lambda: len(gateway.plane.channels) == 3)
        vendor_gateways.append(gateway)
        return gateway

    return make


@pytest.fixture(scope="module")
def crossroads(make_crossroads: Callable[..., LiveGateway]) -> LiveGateway:
    """One with the usual settings, shared by the tests of a module."""
    return make_crossroads()


@pytest.fixture(scope="module")
def make_stage(make_gateway: Callable[..., LiveGateway], module_vendor: FakeProvider, loop_thread: LoopThread) -> Callable[..., Stage]:
    """Starts a gateway with the given settings whose OpenAI and Anthropic are the module's scripted provider."""
    urls = {"openai_base_url": f"{module_vendor.url}/v1", "anthropic_base_url": module_vendor.url}
    keys = {"openai_api_key": "sk-openai", "anthropic_api_key": "sk-anthropic"}
    return lambda **settings: Stage(make_gateway(**urls | keys | settings), module_vendor, loop_thread)


@pytest.fixture(scope="module")
def module_stage(make_stage: Callable[..., Stage]) -> Stage:
    """A gateway with the usual settings; ask for `stage`."""
    return make_stage()


@pytest.fixture
def stage(module_stage: Stage, vendor: FakeProvider) -> Iterator[Stage]:
    """The scripted provider and a gateway in front of it, on which the test leaves nothing behind."""
    module_stage.forget_connections()
    yield module_stage
    module_stage.check_quiet()


@pytest.fixture
def until_hung_up(vendor: FakeProvider, vendor_gateways: list[LiveGateway], loop_thread: LoopThread) -> Callable[[], None]:
    """Waits until the vendor has no connections but those that gateways keep for the next request."""

    def idle() -> int:
        return sum(pool.idle for gateway in vendor_gateways for pool in {channel.pool for channel in gateway.plane.channels})

    def wait() -> None:
        for gateway in vendor_gateways:
            gateway.check_quiet()
        loop_thread.run(vendor.until(lambda: vendor.open == idle()))

    return wait


@pytest.fixture
def dial() -> Iterator[Callable[..., RawClient]]:
    """Connects to a gateway; the connections close after the test."""
    with contextlib.ExitStack() as stack:
        yield lambda gateway, **options: stack.enter_context(RawClient(gateway.port, **options))


@pytest.fixture
def post(vendor_gateway: LiveGateway, dial: Callable[..., RawClient]) -> Callable[..., Answer]:
    """Posts a body, as a whole and in chunks, on one connection; the answers, which are alike."""

    def send(path: str, body: bytes, *headers: str, gateway: LiveGateway = vendor_gateway, key: str = "") -> Answer:
        client = dial(gateway)
        whole = client.ask(request(f"POST {path}", bearer(key or gateway.key), *headers, body=body))
        half = len(body) // 2
        framed = chunked(*filter(None, (body[:half], body[half:])))
        split = client.ask(request(f"POST {path}", bearer(key or gateway.key), *headers, "transfer-encoding: chunked") + framed)
        assert (whole.status, whole.closes) == (split.status, split.closes)
        return whole

    return send


@pytest.fixture(scope="module")
def tap(loop_thread: LoopThread, demo: DemoServer) -> Iterator[Wiretap]:
    """Hears what the provider is sent."""
    wiretap = loop_thread.run(Wiretap(demo.port).start())
    yield wiretap
    loop_thread.run(wiretap.stop())


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    """A plain HTTP client."""
    with httpx.Client(timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def module_bridges(loop_thread: LoopThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BridgeStage]:
    """A gateway with channels of every protocol to a vendor of models; ask for `bridges`."""
    from bridge_stage import BridgeStage, add_channels  # noqa: PLC0415  it brings all the SDKs
    from model_vendor import ModelVendor  # noqa: PLC0415

    talking = loop_thread.run(ModelVendor().start())
    with LiveGateway(tmp_path_factory.mktemp("gateway"), own_keys=True, show_channel=True) as running, contextlib.ExitStack() as stack:
        add_channels(running, talking.url)
        yield BridgeStage(running, talking, stack)
    loop_thread.run(talking.stop())


@pytest.fixture
def bridges(module_bridges: BridgeStage) -> Iterator[BridgeStage]:
    """The gateway with channels of every protocol, and a vendor without memory of other tests."""
    module_bridges.vendor.forget()
    module_bridges.rows = len(module_bridges.gateway.charges())
    yield module_bridges
    module_bridges.gateway.check_quiet()
    assert not module_bridges.vendor.plans, "something was not said"
