"""The request to a provider: the client's own bytes where the wire is the same, a bridge's where it is not."""

from __future__ import annotations

from fake_ends import CHAT, ask
from penstock.relay.request import cross, request_on, request_over, sent_of
from penstock.relay.route import choose, find_lanes
from penstock.upstream.channel import Channel, Terms
from penstock.upstream.lane import Lane
from penstock.upstream.wires.wire import Ask

TERMS = Terms(headers=((b"x-gate", b"hunter2"),))


def routed(rig, model: str, exchange):
    rig.trust()
    return choose(rig.caller, Ask(model=model), exchange, rig.plane).lanes[0]


def test_the_clients_bytes(rig):
    exchange = rig.exchange(b"POST /v1/chat/completions?x=1&key=sk-secret", (b"x-odd", b"1"), body=CHAT)
    lane = routed(rig, "gpt-4o", exchange)
    sent = request_on(lane, exchange.wire.peek(CHAT), exchange)
    assert sent.startswith(b"POST /v1/chat/completions?x=1 HTTP/1.1\r\n") and sent.endswith(b"\r\n\r\n" + CHAT)
    assert b"x-odd: 1" in sent and b"sk-secret" not in sent


def test_a_path_with_the_model_in_it_is_renamed(rig):
    exchange = rig.exchange(b"POST /v1beta/models/fast:generateContent", body=b'{"contents":[]}')
    rig.plane.rewrites = {"fast": "gemini-2.5-flash"}
    rig.plane.channels[0].wires = ("gemini",)
    lane = find_lanes("gemini", "fast", exchange, rig.plane).all[0]
    ask_ = exchange.wire.peek_at(exchange.target.path, b"", b'{"contents":[]}')
    assert (ask_.model, lane.served) == ("fast", "gemini-2.5-flash")
    assert b"/models/gemini-2.5-flash:generateContent HTTP/1.1" in request_on(lane, ask_, exchange)


def test_what_a_bridge_has_made(rig):
    exchange = rig.exchange(b"POST /v1/chat/completions?x=1", (b"user-agent", b"me/1"), (b"openai-beta", b"x"), body=CHAT)
    rig.plane.channels[0].wires = ("messages",)
    lane = routed(rig, "gpt-4o", exchange)
    sent = request_over(cross(lane, exchange), lane, exchange)
    head, _, body = sent.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/messages HTTP/1.1\r\n") and b"content-length: %d" % len(body) in head
    assert b"user-agent: me/1" in head and b"openai-beta" not in head and head.count(b"content-type: ") == 1


def test_an_agent_is_not_found_inside_another_header(rig):
    exchange = rig.exchange(b"POST /v1/chat/completions", (b"x-user-agent: ", b"y"), body=CHAT)
    rig.plane.channels[0].wires = ("messages",)
    lane = routed(rig, "gpt-4o", exchange)
    assert b"user-agent" not in request_over(cross(lane, exchange), lane, exchange).partition(b"\r\n\r\n")[0]


def test_a_multipart_form_gets_the_providers_name_of_the_model(rig):
    rig.trust()
    rig.plane.rewrites = {"fast": "whisper-1"}
    client, vendor = rig.client(), rig.vendor()
    parts = (b'name="model"\r\n\r\nfast', b'name="file"; filename="a"\r\n\r\nxyz')
    body = b"".join(b"--b\r\ncontent-disposition: form-data; %b\r\n" % part for part in parts) + b"--b--\r\n"
    request = ask(line=b"POST /v1/audio/transcriptions", body=body)
    client.says(request.replace(b"application/json", b"multipart/form-data; boundary=b"))
    head, _, sent = vendor.hears().partition(b"\r\n\r\n")
    assert b"\r\n\r\nwhisper-1\r\n" in sent and b"content-length: %d" % len(sent) in head


def test_what_is_kept_of_a_request_has_no_header_of_the_operators(rig):
    exchange = rig.exchange(b"POST /v1/chat/completions", body=CHAT)
    lane = routed(rig, "gpt-4o", exchange)
    channel = Channel("own", lane.channel.provider, "http://127.0.0.1:1/v1", lane.channel.pool, secret="hunter2-too", terms=TERMS)
    request = request_on(Lane(channel, "gpt-4o", "gpt-4o"), exchange.wire.peek(CHAT), exchange)
    sent = sent_of(request, CHAT, 100, channel)
    assert b"hunter2" in request and b"hunter2" not in sent.head and b"x-gate: [redacted]\r\n" in sent.head
