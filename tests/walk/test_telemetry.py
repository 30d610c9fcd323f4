"""OpenTelemetry: what a collector gets of plain answers, streams, bridges, retries, refusals and clients that leave, and never gets."""

from __future__ import annotations

import json
import time

import anthropic
import openai
import pytest

from fake_answers import DONE, answer, chat_answer, chat_events, chunk, messages_events, responses_events, stream, stream_head
from fake_provider import close, hang, refusing_port
from otel_collector import OtelCollector
from penstock.records.record import PHASES
from penstock.telemetry.instruments import FIRST_SECONDS, SECONDS, TOKENS
from raw_client import bearer, chat, request

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SECRETS = ("sk-vendor", "sk-ant-vendor", "Hello", "word3", "collector-password")
"""Credentials, and words of requests and answers."""


@pytest.fixture(scope="module")
def module_collector():
    with pytest.MonkeyPatch.context() as patch, OtelCollector() as running:
        patch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "100")
        patch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-collector-key=collector-password")
        patch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
        yield running


@pytest.fixture(scope="module")
def observed(make_vendor_gateway, module_collector):
    """A gateway that tells the collector."""
    return make_vendor_gateway(otel_endpoint=module_collector.url, show_timing=True, slow_s=3600)


@pytest.fixture
def collector(module_collector, observed):
    """A collector that is well and knows nothing yet."""
    assert observed._until(lambda: observed.parts.telemetry.depth == 0)
    module_collector.forget()
    return module_collector


def check(span):
    """What is true of every server span: its phases lie within it, in order and without a gap, and its attempts within those."""
    names, times = [name for name, _, _ in span["events"]], [when for _, when, _ in span["events"]]
    assert names == [f"penstock.{phase}" for phase in PHASES][: len(names)]
    assert times == sorted(times) and times[0] == span["start_ns"] and times[-1] <= span["end_ns"]
    for attempt in span["attempts"]:
        assert span["start_ns"] <= attempt["start_ns"] <= attempt["end_ns"] <= span["end_ns"]
        assert (attempt["kind"], attempt["trace_id"]) == ("CLIENT", span["trace_id"])
    assert span["resource"]["service.name"] == "penstock"
    assert span["resource"]["deployment.environment.name"] == "test"
    return span["facts"]


def test_a_plain_answer(observed, vendor, dial, collector):
    said = dial(observed).ask(chat(observed.key, model="gpt-4o", max_tokens=64))
    assert said.status == 200
    vendor.always(answer(chat_answer()))
    said = dial(observed).ask(chat(observed.key, model="gpt-4o", max_tokens=64))
    span = collector.servers(2)[1]
    facts = check(span)
    (row,) = [row for row in observed.charges() if row["id"] == said.header("x-request-id")]
    assert facts == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.request.max_tokens": 64,
        "gen_ai.request.stream": False,
        "gen_ai.response.id": "chatcmpl-fake",
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 19,
        "gen_ai.usage.output_tokens": 10,
        "http.response.status_code": 200,
        "penstock.channel": "openai",
        "penstock.cost_nano": row["cost_nano"],
        "penstock.key": row["key_id"],
        "penstock.outcome": "complete",
        "penstock.request_id": row["id"],
        "penstock.wire": "chat",
    }
    assert (span["name"], span["parent_id"], span["failed"], len(span["events"])) == ("chat gpt-4o", "", False, len(PHASES))
    (attempt,) = span["attempts"]
    assert attempt["name"] == "chat gpt-4o" and attempt["facts"]["server.address"] == "127.0.0.1"
    assert attempt["facts"]["server.port"] == int(vendor.url.rpartition(":")[2])
    assert {"penstock.cost_nano", "gen_ai.usage.input_tokens"} & attempt["facts"].keys() == set(), "it would be added up twice"
    assert (attempt["start_ns"], attempt["end_ns"]) == (span["events"][3][1], span["events"][6][1])
    assert any(headers.get("x-collector-key") == "collector-password" for _, headers in collector.requests)


@pytest.mark.parametrize(("wire", "path", "events", "model"), [
    ("chat", "/v1/chat/completions", chat_events(), "gpt-4o-2024-08-06"),
    ("responses", "/v1/responses", responses_events(), "gpt-4o-2024-08-06"),
    ("messages", "/v1/messages", messages_events(), "claude-sonnet-4-5"),
])  # fmt: skip
def test_a_stream(observed, vendor, dial, collector, wire, path, events, model):
    vendor.script(stream(*events))
    body = b'{"model":"m","max_tokens":5,"stream":true,"messages":[],"input":"Hello"}'
    said = dial(observed).ask(request(f"POST {path}", bearer(observed.key), "content-type: application/json", body=body))
    (span,) = collector.servers()
    facts = check(span)
    assert facts["gen_ai.request.stream"] is True
    assert facts["gen_ai.response.model"] == model and facts["gen_ai.response.id"].endswith("_fake" if wire != "chat" else "-fake")
    assert facts["gen_ai.usage.input_tokens"] == 19 and facts["penstock.wire"] == wire
    assert facts["gen_ai.response.time_to_first_chunk"] == pytest.approx((span["events"][5][1] - span["start_ns"]) / 1e9)
    shown = said.header("server-timing") or ""
    assert [part.partition(";")[0] for part in shown.split(", ")] == list(PHASES[:5]), "what is known when the head leaves"


def test_metrics(observed, vendor, dial, collector):
    vendor.script(answer(chat_answer()))
    vendor.script(stream(*chat_events()))
    dial(observed).ask(chat(observed.key, model="metered"))
    dial(observed).ask(chat(observed.key, model="metered", stream=True))
    collector.servers(2)

    def of(name):
        return [(facts, point) for facts, point in collector.points(name) if facts["gen_ai.request.model"] == "metered"]

    end = time.monotonic() + 5
    while not of("gen_ai.client.token.usage") or of("gen_ai.client.token.usage")[0][1].count < 2:
        assert time.monotonic() < end
        time.sleep(0.02)
    both = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "metered"}
    tokens = {facts.pop("gen_ai.token.type"): (facts, point) for facts, point in of("gen_ai.client.token.usage")}
    assert {kind: (facts, point.sum, list(point.explicit_bounds)) for kind, (facts, point) in tokens.items()} == {
        "input": (both, 38, TOKENS),
        "output": (both, 20, TOKENS),
    }
    for name, count, bounds in (
        ("gen_ai.client.operation.duration", 2, SECONDS),
        ("gen_ai.server.request.duration", 2, SECONDS),
        ("gen_ai.server.time_to_first_token", 1, FIRST_SECONDS),
        ("gen_ai.client.operation.time_to_first_chunk", 1, SECONDS),
    ):
        ((facts, point),) = of(name)
        assert (facts, point.count, list(point.explicit_bounds)) == (both, count, bounds)
        assert point.sum > 0


def test_the_trace_of_the_client_goes_on_and_the_provider_gets_what_the_client_sent(observed, vendor, dial, collector):
    dial(observed).ask(chat(observed.key, f"traceparent: {PARENT}", "tracestate: vendor=1"))
    (span,) = collector.servers()
    check(span)
    assert (span["trace_id"], span["parent_id"], span["trace_state"]) == (PARENT[3:35], PARENT[36:52], "vendor=1")
    assert vendor.requests[-1].header("traceparent") == PARENT.encode()
    dial(observed).ask(chat(observed.key))
    assert vendor.requests[-1].header("traceparent") is None


def test_a_trace_that_the_client_does_not_sample_is_not_sampled(observed, vendor, dial, collector):
    dial(observed).ask(chat(observed.key, f"traceparent: {PARENT[:-2]}00"))
    dial(observed).ask(chat(observed.key, "traceparent: rubbish"))
    (span,) = collector.servers()
    assert span["trace_id"] != PARENT[3:35] and span["parent_id"] == ""


def test_the_provider_is_told_where_that_is_wanted(make_vendor_gateway, vendor, dial, collector):
    telling = make_vendor_gateway(otel_endpoint=collector.url, otel_propagate=True)
    for parent in ([f"traceparent: {PARENT}"], []):
        collector.forget()
        dial(telling).ask(chat(telling.key, *parent))
        (span,) = collector.servers()
        (attempt,) = span["attempts"]
        assert vendor.requests[-1].header("traceparent") == f"00-{attempt['trace_id']}-{attempt['span_id']}-01".encode()
        assert (span["trace_id"] == PARENT[3:35]) is bool(parent)


# what goes wrong


@pytest.mark.parametrize(("asked", "status", "code", "phases"), [
    (lambda _: chat("sk-nobody"), 401, "invalid_key", 2),
    (lambda key: request("POST /v1/chat/completions", bearer(key), "content-type: application/json", body=b"{"), 400, "invalid_json", 2),
])  # fmt: skip
def test_a_refusal(observed, vendor, dial, collector, asked, status, code, phases):
    said = dial(observed).ask(asked(observed.key))
    (span,) = collector.servers()
    facts = check(span)
    assert (said.status, facts["http.response.status_code"], facts["error.type"], facts["penstock.outcome"]) == (
        status,
        status,
        code,
        "refused",
    )
    assert (span["failed"], span["attempts"], len(span["events"])) == (False, [], phases), "it is the client's fault"
    assert (said.header("server-timing") or "").count("dur=") == phases


def test_a_provider_that_refuses(observed, vendor, dial, collector):
    vendor.script(answer({"error": {"message": "Hello?"}}, 400))
    dial(observed).ask(chat(observed.key))
    (span,) = collector.servers()
    assert (check(span)["error.type"], span["failed"], span["attempts"][0]["failed"]) == ("400", False, True)
    assert "gen_ai.usage.input_tokens" not in span["facts"]


@pytest.mark.parametrize(("steps", "status", "error"), [
    ((b"HTTP/1.1 20", close), 502, "upstream_broken"),
    ((answer({"error": "no"}, 500),), 500, "500"),
    ((stream_head() + chunk(chat_events()[0]), close), 200, "upstream_died"),
])  # fmt: skip
def test_a_provider_that_fails(observed, vendor, dial, collector, steps, status, error):
    vendor.script(*steps)
    dial(observed).ask(chat(observed.key, stream=True))
    (span,) = collector.servers()
    facts = check(span)
    assert (facts["http.response.status_code"], facts["error.type"], span["failed"]) == (status, error, True)
    assert [attempt["failed"] for attempt in span["attempts"]] == [True]


def test_a_retry_has_a_span_for_each_attempt(make_vendor_gateway, make_gateway, vendor, dial, collector):
    with refusing_port() as port:
        gateway = make_gateway(
            otel_endpoint=collector.url, openai_api_key="sk-vendor", openai_base_url=f"http://127.0.0.1:{port}/v1",
            anthropic_api_key="sk-ant-vendor", anthropic_base_url=vendor.url, api_model_rewrite="",
        )  # fmt: skip
        vendor.script(answer({"error": {"type": "overloaded_error"}}, 529))
        said = dial(gateway).ask(
            request(
                "POST /v1/messages",
                bearer(gateway.key),
                "content-type: application/json",
                body=b'{"model":"m","messages":[],"max_tokens":9}',
            )
        )
    (span,) = collector.servers()
    check(span)
    assert span["attempts"], said
    assert [attempt["facts"].get("http.request.resend_count") for attempt in span["attempts"]] == [None, *range(1, len(span["attempts"]))]


# clients that leave, at every step


def test_a_client_that_leaves_while_it_sends(observed, vendor, dial, collector):
    asked = request("POST /v1/chat/completions", bearer(observed.key), "content-type: application/json", "content-length: 100000")
    dial(observed).send(asked + b'{"model":"m",').reset()
    (span,) = collector.servers()
    assert (check(span)["penstock.outcome"], len(span["events"]), span["failed"]) == ("client_gone", 2, False)
    assert span["attempts"] == []


def test_a_client_that_leaves_before_the_head(observed, vendor, dial, collector, loop_thread):
    vendor.script(hang)
    client = dial(observed).send(chat(observed.key))
    loop_thread.run(vendor.until_requests(1))
    client.reset()
    (span,) = collector.servers()
    assert (check(span)["penstock.outcome"], span["facts"]["http.response.status_code"]) == ("client_gone", 499)
    assert "error.type" not in span["facts"]


def test_a_client_that_leaves_in_a_stream(observed, vendor, dial, collector):
    vendor.script(stream_head(), *map(chunk, chat_events(20)[:8]), hang)
    client = dial(observed).send(chat(observed.key, stream=True))
    client.until(b" word5")
    client.reset()
    (span,) = collector.servers()
    facts = check(span)
    assert (facts["penstock.outcome"], facts["penstock.usage_is_estimated"], len(span["events"])) == ("client_gone", True, len(PHASES))


# other ways


def test_a_bridge_and_the_official_sdks(crossroads_told, vendor, collector):
    gateway = crossroads_told
    vendor.script(stream(*chat_events()))
    with anthropic.Anthropic(api_key=gateway.key, base_url=gateway.url, max_retries=0) as client:
        asked = {"model": "claude-by-chat", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]}
        with client.messages.stream(**asked) as told:
            assert "word3" in told.get_final_text()
    vendor.script(answer(chat_answer()))
    with openai.OpenAI(api_key=gateway.key, base_url=f"{gateway.url}/v1", max_retries=0) as client:
        assert client.chat.completions.create(model="gpt-by-chat", messages=[{"role": "user", "content": "Hello"}]).id == "chatcmpl-fake"
    bridged, plain = collector.servers(2)
    check(plain)
    facts = check(bridged)
    assert (bridged["name"], facts["penstock.wire"], facts["gen_ai.request.model"]) == ("chat claude-by-chat", "messages", "claude-by-chat")
    assert (facts["gen_ai.usage.output_tokens"], facts["gen_ai.response.model"]) == (10, "gpt-4o-2024-08-06")
    assert bridged["attempts"][0]["facts"]["gen_ai.request.model"] == "gpt-4o"


@pytest.fixture(scope="module")
def crossroads_told(make_crossroads, module_collector):
    return make_crossroads(otel_endpoint=module_collector.url)


# what is never told


def test_no_content_and_no_secret(observed, vendor, dial, collector):
    asked = chat(observed.key, "x-api-key: sk-other-1234567890123456", "cookie: session=word3", tools=[{"id": "word3", "model": "word3"}])
    vendor.script(stream(*chat_events()))
    vendor.script(answer(chat_answer("Hello word3")))
    dial(observed).ask(chat(observed.key, stream=True))
    dial(observed).ask(asked)
    dial(observed).ask(chat("sk-wrong-1234567890123456", model="Hello"))
    dial(observed).ask(chat(observed.key, model="sk-1234567890123456789012"))
    collector.servers(4)
    told = collector.strings().replace("collector-password", "")
    for secret in (observed.key, "1234567890123456", *SECRETS[:-1]):
        assert secret not in told, secret


def test_content_is_told_where_that_is_wanted_as_far_as_it_is_recorded(make_vendor_gateway, vendor, dial, collector):
    asked = {"messages": [{"role": "user", "content": "My key is sk-1234567890123456789012"}]}
    open_hearted = make_vendor_gateway(otel_endpoint=collector.url, otel_content=True, record=True)
    vendor.script(answer(chat_answer("Hello there.")))
    dial(open_hearted).ask(chat(open_hearted.key, **asked))
    vendor.script(stream(*chat_events(3)))
    dial(open_hearted).ask(chat(open_hearted.key, stream=True))
    plain, streamed = collector.servers(2)
    assert json.loads(plain["facts"]["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "My key is [redacted]"}]}
    ]
    assert json.loads(plain["facts"]["gen_ai.output.messages"])[0]["parts"] == [{"type": "text", "content": "Hello there."}]
    assert json.loads(streamed["facts"]["gen_ai.output.messages"])[0]["parts"] == [{"type": "text", "content": " word0 word1 word2"}]
    collector.forget()
    unrecorded = make_vendor_gateway(otel_endpoint=collector.url, otel_content=True)
    dial(unrecorded).ask(chat(unrecorded.key, **asked))
    (span,) = collector.servers()
    assert not any(name.endswith(".messages") for name in span["facts"])


# collectors that are in trouble


@pytest.mark.parametrize("trouble", ["refuses", "is slow", "is away"])
def test_a_collector_in_trouble_delays_nobody(make_vendor_gateway, vendor, dial, trouble, tmp_path):
    with OtelCollector() as ill:
        ill.status, ill.delay_s = (500, 0) if trouble == "refuses" else (200, 30)
        with refusing_port() as port:
            url = f"http://127.0.0.1:{port}" if trouble == "is away" else ill.url
            gateway = make_vendor_gateway(otel_endpoint=url)
            client = dial(gateway)
            for _ in range(3):
                assert client.ask(chat(gateway.key)).status == 200
                time.sleep(0.3)
            began_s = time.monotonic()
            gateway.stop()
            assert time.monotonic() - began_s < 10
        assert gateway.parts.telemetry.dropped == 6, "a server span and a client span of each"


def test_what_was_not_told_is_in_the_metrics(observed, http):
    assert "penstock_telemetry_dropped_total 0.0" in http.get(f"{observed.url}/metrics").text


def test_a_stream_without_an_end_is_told_too(observed, vendor, dial, collector):
    vendor.script(stream_head() + chunk(chat_events()[1]) + chunk(DONE) + b"0\r\n\r\n")
    dial(observed).ask(chat(observed.key, stream=True))
    assert check(collector.servers()[0])["penstock.usage_is_estimated"] is True
