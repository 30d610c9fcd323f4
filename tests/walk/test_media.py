"""The platform's pictures, searches and voices over real sockets: forms and JSON, prices, its envelope, and vendors that fail."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator

import httpx
import pytest
from openai import BadRequestError, OpenAI

from live_gateway import LiveGateway
from loop_thread import LoopThread
from media_vendors import PICTURE, SOUND, VOICES, FakeAzureSpeech, FakeGoogle, FakeNovelAI, FakeReplicate, FakeSerper
from member import join
from penstock.accounts.identity import CLI
from penstock.catalog.service import Prices
from penstock.catalog.sets import Wish
from penstock.channels.drafts import Draft
from penstock.channels.service import Given
from vendor_server import SECRET, Reply, VendorServer

VENDORS = {
    "replicate": FakeReplicate,
    "serper": FakeSerper,
    "google-search": FakeGoogle,
    "azure-speech": FakeAzureSpeech,
    "novelai": FakeNovelAI,
}
MODELS = {
    "replicate": ("flux-schnell", "flux-dev", "flux-pro", "flux-11-pro", "flux-11-pro-ultra"),
    "serper": ("serper",),
    "google-search": ("google-search",),
    "azure-speech": ("azure-tts", "azure-voices", "tts-1"),
    "novelai": ("nd-imagine-v3",),
}
RATES = {
    "flux-*": {"images_count": "0.003"},
    "nd-imagine-*": {"images_count": "0.01"},
    "serper": {"requests_kcount": "1"},
    "google-search": {"requests_kcount": "5"},
    "azure-tts": {"input_mchars": "16"},
    "azure-voices": None,
    "tts-1": {"input_mchars": "15"},
}


@pytest.fixture(scope="module")
def vendors(loop_thread: LoopThread) -> Iterator[dict[str, VendorServer]]:
    """Every vendor on loopback."""
    started = {name: loop_thread.run(kind().start()) for name, kind in VENDORS.items()}
    yield started
    for vendor in started.values():
        loop_thread.run(vendor.stop())


@pytest.fixture(scope="module")
def gateway(make_gateway, vendors) -> LiveGateway:
    """A gateway with a channel to each of them, and prices."""
    gateway = make_gateway(own_keys=True)
    for name, vendor in vendors.items():
        options = {"cx": "engine:1"} if name == "google-search" else {}
        draft = Draft(name, name, vendor.url, tuple((model, None) for model in MODELS[name]), allow_private=True, options=options)
        gateway.run(gateway.app.state.channels.create(CLI, draft, [Given(SECRET)]))
    prices = Prices(gateway.parts.database)
    for model, rates in RATES.items():
        gateway.run(prices.put(CLI, Wish("*", model, rates is None, rates and {"standard": rates}), confirm=True))
    wait_for_channels(gateway, len(VENDORS))
    return gateway


def wait_for_channels(gateway: LiveGateway, count: int) -> None:
    """Channels of the database are read a moment after they are made."""
    end = time.monotonic() + 20
    while len(gateway.plane.channels) < count:
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def call(gateway, vendors):
    """Calls the gateway; vendors are as they were made."""
    for vendor in vendors.values():
        vendor.fault = None
        vendor.requests.clear()
    vendors["replicate"].looks = 0

    def send(method: str, path: str, **sent) -> httpx.Response:
        headers = {"authorization": f"Bearer {gateway.key}"} | sent.pop("headers", {})
        return httpx.request(method, gateway.url + path, headers=headers, trust_env=False, **({"timeout": 30} | sent))

    return send


def charge(gateway: LiveGateway, answer: httpx.Response) -> dict:
    (row,) = (row for row in gateway.charges() if row["id"] == answer.headers["x-request-id"])
    return row


FLUX = "/api/v1/ai/draw/flux/"


@pytest.mark.parametrize("spelling", ["data", "json", "files"])
def test_flux(gateway, call, spelling):
    fields = {"prompt": "a cat", "num_outputs": "2", "model": "flux-schnell"}
    sent = {"files": {name: (None, value) for name, value in fields.items()}} if spelling == "files" else {spelling: fields}
    answer = call("POST", FLUX + "schnell", **sent)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["statusCode"], body["message"], len(body["data"]["outputs"])) == (200, "Success", 2)
    row = charge(gateway, answer)
    assert (row["wire"], row["model"], row["cost_nano"]) == ("flux", "flux-schnell", 6_000_000)


@pytest.mark.parametrize(
    ("page", "model"), [("dev", "flux-dev"), ("pro", "flux-pro"), ("pro-11", "flux-11-pro"), ("pro-ultra-11", "flux-11-pro-ultra")]
)
def test_every_page_of_flux(gateway, call, page, model):
    answer = call("POST", FLUX + page, data={"prompt": "a cat"})
    assert answer.status_code == 200, answer.text
    assert (charge(gateway, answer)["model"], charge(gateway, answer)["cost_nano"]) == (model, 3_000_000)


@pytest.mark.parametrize("spelling", ["data", "json", "files"])
def test_a_picture_to_begin_with(call, vendors, spelling):
    url = "data:image/png;base64," + "A" * 200_000
    fields = {"prompt": "a cat", "image": url}
    sent = {"files": {name: (None, value) for name, value in fields.items()}} if spelling == "files" else {spelling: fields}
    assert call("POST", FLUX + "dev", **sent).status_code == 200
    assert vendors["replicate"].inputs()[-1]["image"] == url


def test_flux_in_base64(call):
    answer = call("POST", FLUX + "pro", json={"prompt": "a cat", "response_format": "b64_json"})
    [output] = answer.json()["data"]["outputs"]
    assert base64.b64decode(output["b64_json"]) == PICTURE


def test_a_picture_that_the_client_does_not_wait_for_is_cancelled(gateway, call, loop_thread, vendors):
    vendor = vendors["replicate"]
    vendor.looks = 10**9
    cancelled = len(vendor.cancelled)
    with pytest.raises(httpx.TimeoutException):
        call("POST", FLUX + "schnell", json={"prompt": "a cat"}, timeout=httpx.Timeout(5, read=0.3))
    loop_thread.run(vendor.eventually(lambda: len(vendor.cancelled) > cancelled))
    gateway.check_quiet()
    assert not [row for row in gateway.charges() if row["outcome"] != "complete" and row["cost_nano"]]


def test_what_it_would_cost_can_be_asked_for(call):
    answer = call("POST", f"/v1/estimate?path={FLUX}dev", json={"prompt": "a cat", "num_outputs": 4})
    body = answer.json()
    assert (body["model"], body["at_most_nano"] // 1_000_000, body["allowed"]) == ("flux-dev", 12, True), body


def test_openais_images_of_flux(gateway, call):
    answer = call("POST", "/v1/images/generations", json={"model": "flux-dev", "prompt": "a cat", "n": 2, "quality": "high"})
    assert len(answer.json()["data"]) == 2, answer.text
    assert answer.headers["x-penstock-dropped"] == "quality"
    assert charge(gateway, answer)["cost_nano"] == 6_000_000


def test_the_official_sdk_is_content(gateway, call):
    with OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0, http_client=httpx.Client(trust_env=False)) as client:
        made = client.images.generate(model="flux-11-pro", prompt="a cat", n=2, size="1024x1024", response_format="b64_json")
        assert [base64.b64decode(image.b64_json) for image in made.data] == [PICTURE] * 2
        with client.audio.speech.with_streaming_response.create(model="tts-1", voice="nova", input="Hello", speed=1.25) as speech:
            assert b"".join(speech.iter_bytes()) == SOUND
        with pytest.raises(BadRequestError, match="background"):
            client.images.generate(model="flux-dev", prompt="a cat", background="transparent")


def test_nd(gateway, call):
    answer = call("POST", "/api/v1/ai/draw/nd/imagine", json={"prompt": "1girl", "model": "nd-imagine-v3", "size": "1024x1024"})
    url = answer.json()["data"][0]["url"]
    assert base64.b64decode(url.removeprefix("data:image/png;base64,")) == PICTURE
    assert charge(gateway, answer)["cost_nano"] == 10_000_000


@pytest.mark.parametrize("bearer", [True, False])
def test_google(gateway, call, vendors, bearer):
    headers = {} if bearer else {"authorization": ""}
    query = "q=cats&num=3" if bearer else f"key={gateway.key}&q=cats&num=3"
    answer = call("GET", f"/api/v1/openapi/search/google-search/v1?{query}", headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["kind"] == "customsearch#search"
    assert vendors["google-search"].requests[0].target == "/customsearch/v1?q=cats&num=3&cx=engine:1"
    assert charge(gateway, answer)["cost_nano"] == 5_000_000


@pytest.mark.parametrize("spelling", ["data", "json"])
def test_serper(gateway, call, spelling):
    answer = call("POST", "/api/v1/openapi/search/serper/v1", **{spelling: {"q": "cats", "num": "20", "cache": "3"}})
    assert answer.json()["searchParameters"] == {"q": "cats", "num": 20}, answer.text
    assert charge(gateway, answer)["cost_nano"] == 1_000_000


def test_azure(gateway, call):
    answer = call("POST", "/api/v1/openapi/azure/tts/v1", data={"text": "Hello", "voice": "en-US-AvaMultilingualNeural"})
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, "audio/mpeg", SOUND)
    assert charge(gateway, answer)["cost_nano"] == 80_000
    for method in ("GET", "POST"):
        listed = call(method, "/api/v1/openapi/azure/voices/v1")
        assert listed.json() == VOICES, listed.text


@pytest.mark.parametrize("spelling", ["data", "json"])
def test_openais_speech_by_azure(gateway, call, spelling):
    answer = call("POST", "/v1/audio/speech", **{spelling: {"model": "tts-1", "input": "Hello", "voice": "alloy", "speed": "1.5"}})
    assert (answer.status_code, answer.content) == (200, SOUND), answer.text
    assert charge(gateway, answer)["cost_nano"] == 75_000


CALLS = [
    ("replicate", "POST", FLUX + "schnell", {"json": {"prompt": "a cat"}}),
    ("novelai", "POST", "/api/v1/ai/draw/nd/imagine", {"json": {"prompt": "1girl"}}),
    ("serper", "POST", "/api/v1/openapi/search/serper/v1", {"data": {"q": "cats"}}),
    ("google-search", "GET", "/api/v1/openapi/search/google-search/v1?q=cats", {}),
    ("azure-speech", "POST", "/api/v1/openapi/azure/tts/v1", {"data": {"text": "Hello"}}),
    ("azure-speech", "GET", "/api/v1/openapi/azure/voices/v1", {}),
]


def forget_faults(gateway: LiveGateway) -> None:
    """Breakers are closed again, as after a while."""
    for channel in gateway.plane.channels:
        channel.breakers.load([])


@pytest.mark.parametrize(("vendor", "method", "path", "sent"), CALLS, ids=[f"{method} {path}" for _, method, path, _ in CALLS])
@pytest.mark.parametrize(
    ("fault", "shown"),
    [
        (Reply.of({"message": "not like that"}, 400), 400),
        (Reply.of({"message": "no"}, 401), 502),
        (Reply.of({"message": "slow down"}, 429, headers=(("retry-after", "7"),)), 429),
        (Reply(502, b"<html>nginx</html>", "text/html"), 502),
        (Reply(302, b"", headers=(("location", "https://example.com/"),)), 502),
    ],
    ids=lambda value: value.status if isinstance(value, Reply) else "",
)
def test_a_vendor_that_fails(gateway, call, vendors, vendor, method, path, sent, fault, shown):
    forget_faults(gateway)
    vendors[vendor].fault = fault
    answer = call(method, path, **sent)
    assert answer.status_code == shown, answer.text
    envelope = answer.json()
    assert (envelope["statusCode"], envelope["data"]) == (shown, None)
    assert envelope["errorType"].endswith("_error")
    assert not [row for row in gateway.charges() if row["id"] == answer.headers["x-request-id"] and row["cost_nano"]]
    forget_faults(gateway)


def test_another_channel_is_asked_where_nothing_has_been_done(make_gateway, loop_thread, vendors):
    """A prediction that could not be begun is begun elsewhere; one that failed is not tried again."""
    call_gateway = make_gateway(own_keys=True)
    vendors["replicate"].fault, vendors["replicate"].looks = None, 0
    spare = loop_thread.run(FakeReplicate().start())
    for name, vendor, secret, priority in (("first", spare, "sk-wrong", 1), ("second", vendors["replicate"], SECRET, 0)):
        draft = Draft(name, "replicate", vendor.url, (("flux-*", None),), priority=priority, allow_private=True, discover=False)
        call_gateway.run(call_gateway.app.state.channels.create(CLI, draft, [Given(secret)]))
    wait_for_channels(call_gateway, 2)

    def draw() -> int:
        headers = {"authorization": f"Bearer {call_gateway.key}"}
        return httpx.post(f"{call_gateway.url}{FLUX}schnell", headers=headers, json={"prompt": "a cat"}, trust_env=False).status_code

    assert draw() == 200
    assert len(spare.requests) == 1
    forget_faults(call_gateway)
    spare.fault = Reply.of({"id": "pred0", "status": "failed", "error": "CUDA out of memory"}, 201)
    before = len(vendors["replicate"].requests)
    assert draw() == 502
    assert len(vendors["replicate"].requests) == before
    loop_thread.run(spare.stop())


@pytest.mark.parametrize(("vendor", "method", "path", "sent"), CALLS, ids=[f"{method} {path}" for _, method, path, _ in CALLS])
def test_an_answer_that_is_no_answer(gateway, call, vendors, vendor, method, path, sent):
    vendors[vendor].fault = Reply(200, b"<!doctype html>\n<html><body>Welcome</body></html>\n", "text/html")
    answer = call(method, path, **sent)
    assert (answer.status_code, answer.json()["statusCode"]) == (502, 502)
    assert not [row for row in gateway.charges() if row["id"] == answer.headers["x-request-id"] and row["cost_nano"]]
    forget_faults(gateway)


@pytest.mark.parametrize(("vendor", "method", "path", "sent"), CALLS, ids=[f"{method} {path}" for _, method, path, _ in CALLS])
def test_keys_are_asked_for_in_the_envelope(gateway, call, vendor, method, path, sent):
    answer = call(method, path, headers={"authorization": "Bearer sk-wrong"}, **sent)
    assert (answer.status_code, answer.json()["statusCode"], answer.json()["errorType"]) == (401, 401, "invalid_key_error")
    limited = gateway.run(gateway.parts.keys.create(f"limited {vendor} {path}"[:60], models=["other"])).token
    answer = call(method, path, headers={"authorization": f"Bearer {limited}"}, **sent)
    assert (answer.status_code, answer.json()["errorType"]) == (403, "model_not_allowed_error")
    assert call("OPTIONS", path, headers={"origin": "https://example.com"}).status_code == 204


def test_an_account_pays_for_what_it_can_pay_for(gateway, call):
    poor, member = join(gateway), join(gateway, paid_nano=4_000_000)
    headers = {"authorization": f"Bearer {poor.token}"}
    refused = call("POST", FLUX + "schnell", data={"prompt": "a cat"}, headers=headers)
    assert (refused.status_code, refused.json()["errorType"]) == (402, "insufficient_balance_error"), refused.text
    headers = {"authorization": f"Bearer {member.token}"}
    assert call("POST", FLUX + "schnell", data={"prompt": "a cat"}, headers=headers).status_code == 200
    assert member.left() == 1_000_000


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", FLUX + "schnell"),
        ("POST", FLUX + "other"),
        ("DELETE", "/api/v1/openapi/azure/voices/v1"),
        ("POST", "/api/v1/openapi/search/google-search/v1"),
    ],
)
def test_other_methods_and_paths(call, method, path):
    answer = call(method, path)
    assert answer.status_code in {404, 405}
    assert json.loads(answer.text)["statusCode"] == answer.status_code


def test_what_is_wrong_is_said_in_the_envelope(call):
    answer = call("POST", FLUX + "dev", data={"prompt": "a cat"}, files={"image": ("a.png", PICTURE)})
    assert (answer.status_code, answer.json()["message"].partition(":")[0]) == (400, "This call takes no files")
    answer = call("POST", FLUX + "pro", data={"prompt": "a cat", "guidance": "9"})
    assert (answer.status_code, answer.json()["message"]) == (400, "guidance must be a number of 2 to 5.")
    answer = call("POST", FLUX + "pro", data={"prompt": "a cat", "model": "flux-dev"})
    assert "flux-pro" in answer.json()["message"]
    assert (
        call("POST", FLUX + "pro", content=b"{", headers={"content-type": "application/json"}).json()["errorType"] == "invalid_json_error"
    )
