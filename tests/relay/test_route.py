"""Routes: from a model to its channels, remembered within bounds, refused in words."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from penstock.kit.errors import PenstockError
from penstock.relay import route as module
from penstock.relay.route import choose, estimate, price_of
from penstock.upstream.channel import Terms
from penstock.upstream.names import Names
from penstock.upstream.usage import Usage
from penstock.upstream.wires.wire import Ask


@pytest.fixture
def routed(make_rig):
    """Chooses a route in a relay with these settings."""

    def routed(model, line=b"POST /v1/chat/completions", *headers, rig=None, **settings):
        rig = rig or make_rig(**settings)
        rig.trust()
        return choose(rig.caller, Ask(model=model, input_size=400), rig.exchange(line, *headers), rig.plane)

    return routed


def names(route):
    return [lane.channel.name for lane in route.lanes]


def test_a_wire_goes_to_whoever_speaks_it(routed):
    assert names(routed("gpt-4o")) == ["openai"]
    assert names(routed("claude-sonnet-4-5", b"POST /v1/messages")) == ["anthropic"]


def test_a_model_goes_to_whose_it_is_even_over_a_bridge(routed):
    route = routed("gpt-4o", b"POST /v1/messages")
    assert names(route) == ["openai"] and route.lanes[0].bridge is not None
    route = routed("claude-sonnet-4-5")
    assert names(route) == ["anthropic"] and route.lanes[0].bridge.target == "messages"


def test_a_request_in_another_wires_words_is_put_right_on_the_way(rig):
    rig.trust()
    for model, target in (("gpt-4o", "chat"), ("claude-sonnet-4-5", "messages")):
        route = choose(rig.caller, Ask(model=model, respelled=True), rig.exchange(), rig.plane)
        assert (route.lanes[0].bridge.source, route.lanes[0].bridge.target) == ("chat", target)
    assert choose(rig.caller, Ask(model="gpt-4o"), rig.exchange(), rig.plane).lanes[0].bridge is None


def test_who_brings_the_credential_knows_the_words(make_rig):
    rig = make_rig(openai_api_key=None, anthropic_api_key=None)
    rig.trust()
    assert choose(rig.caller, Ask(model="gpt-4o", respelled=True), rig.exchange(), rig.plane).lanes[0].bridge is None


@pytest.mark.parametrize(("line", "refused"), [(b"GET /v1/responses", True), (b"GET /v1/responses/resp_1", False)])
def test_there_is_no_list_of_responses(rig, line, refused):
    rig.trust()
    exchange = rig.exchange(line)
    if refused:
        with pytest.raises(PenstockError) as caught:
            choose(rig.caller, Ask(), exchange, rig.plane)
        assert (caught.value.status, exchange.notes) == (405, b"allow: POST\r\n")
    else:
        assert names(choose(rig.caller, Ask(), exchange, rig.plane)) == ["openai"]


def test_a_model_that_nobody_knows_goes_to_whoever_speaks_the_wire(routed):
    assert names(routed("new", b"POST /v1/messages")) == ["anthropic"]
    assert names(routed("new")) == ["openai"]


def test_a_model_goes_by_the_name_it_is_served_under(routed):
    route = routed("fast", api_model_rewrite="fast=>gpt-4o")
    assert [(lane.model, lane.served) for lane in route.lanes] == [("fast", "gpt-4o")]


@pytest.mark.parametrize(("line", "headers", "first"), [
    (b"GET /v1/models", (), "openai"),
    (b"GET /v1/models", ((b"anthropic-version", b"2023-06-01"),), "anthropic"),
    (b"POST /v1/messages/batches", (), "anthropic"),
    (b"GET /v1/files", (), "openai"),
])  # fmt: skip
def test_without_a_model_the_shape_of_the_request_tells_whose_it_is(routed, line, headers, first):
    assert names(routed(None, line, *headers))[0] == first


def test_routes_are_remembered_by_wire_and_model(rig, routed):
    first = routed("gpt-4o", rig=rig).lanes[0]
    assert routed("gpt-4o", rig=rig).lanes[0] is first
    assert routed("gpt-4o", b"POST /v1/responses", rig=rig).lanes[0] is not first
    assert routed("gpt-4", rig=rig).lanes[0] is not first


def test_what_is_remembered_is_bounded(rig, routed):
    exchange = rig.exchange()
    rig.trust()
    for number in range(module.ROUTES_KEPT + 10):
        choose(rig.caller, Ask(model=f"m{number}"), exchange, rig.plane)
        assert len(rig.plane.routes) <= module.ROUTES_KEPT
    assert routed("m1", rig=rig).model == "m1"


def test_nothing_is_remembered_of_what_was_refused(rig):
    rig.trust()
    rig.plane.channels = ()
    with pytest.raises(PenstockError):
        choose(rig.caller, Ask(model="gpt-4o"), rig.exchange(), rig.plane)
    assert rig.plane.routes == {}


def test_a_model_that_is_remembered_is_still_refused_to_who_may_not_use_it(rig, routed):
    routed("gpt-4o", rig=rig)
    other = rig.know("sk-" + "b" * 48, models=("gpt-3*",))
    with pytest.raises(PenstockError) as refusal:
        choose(other, Ask(model="gpt-4o"), rig.exchange(), rig.plane)
    assert (refusal.value.code, refusal.value.status, refusal.value.param) == ("model_not_allowed", 403, "model")


def test_the_name_that_is_asked_for_is_what_a_key_is_allowed(rig):
    rig.trust()
    rig.plane.rewrites = {"fast": "gpt-4o"}
    may_fast, may_gpt = rig.know("sk-" + "b" * 48, models=("fast",)), rig.know("sk-" + "c" * 48, models=("gpt-4o",))
    assert choose(may_fast, Ask(model="fast"), rig.exchange(), rig.plane).lanes[0].served == "gpt-4o"
    with pytest.raises(PenstockError):
        choose(may_gpt, Ask(model="fast"), rig.exchange(), rig.plane)


def test_nothing_is_routed_while_charges_cannot_be_written(rig):
    for model in ("gpt-4o", None):
        with pytest.raises(PenstockError) as refusal:
            choose(rig.caller, Ask(model=model), rig.exchange(), rig.plane)
        assert (refusal.value.code, refusal.value.retry_after_s) == ("books_unavailable", 2)


def test_a_model_that_nobody_serves(rig):
    rig.trust()
    for channel in rig.plane.channels:
        channel.names = Names([("other", None)])
    with pytest.raises(PenstockError) as refusal:
        choose(rig.caller, Ask(model="gpt-4o"), rig.exchange(), rig.plane)
    assert (refusal.value.code, refusal.value.status) == ("model_not_found", 404)


def test_a_wire_that_nobody_speaks(rig):
    rig.trust()
    rig.plane.channels = rig.plane.channels[:1]
    with pytest.raises(PenstockError) as refusal:
        choose(rig.caller, Ask(model="claude-2"), rig.exchange(b"POST /v1/complete"), rig.plane)
    assert (refusal.value.code, refusal.value.status) == ("no_channel", 404)


def test_the_estimate_is_input_by_size_and_output_by_its_cap(rig, routed):
    route = routed("gpt-4o", rig=rig)
    price = price_of(route.lanes[0], rig.caller, rig.plane)
    assert estimate(price, Ask(model="gpt-4o", input_size=400, output_cap=50), route, rig.caller, rig.exchange(), rig.plane) == (
        price.at_most(100, 50),
        150,
    )
    cap = rig.settings.default_output_tokens
    assert estimate(price, Ask(model="gpt-4o", input_size=400), route, rig.caller, rig.exchange(), rig.plane) == (
        price.at_most(100, cap),
        100 + cap,
    )
    assert estimate(None, Ask(model="gpt-4o", input_size=400), route, rig.caller, rig.exchange(), rig.plane) == (0, 100 + cap)
    known = Ask(model="gpt-4o", input_size=400, quantity=Usage(output_tokens=1000))
    assert estimate(price, known, route, rig.caller, rig.exchange(), rig.plane)[0] == price.at_most(100, cap) + price.cost(
        Usage(output_tokens=1000)
    )


def test_what_has_no_model_has_no_price(rig, routed):
    route = routed(None, b"GET /v1/models", rig=rig)
    assert price_of(route.lanes[0], rig.caller, rig.plane) is None


@pytest.mark.interpreted
def test_a_rule_s_tags_hold_for_the_one_channel_that_is_asked_for(rig):
    rig.trust()
    caller, ask, exchange = rig.know("sk-" + "b" * 48, channel="openai"), Ask(model="gpt-4o", input_size=400), rig.exchange()
    exchange.ruling = SimpleNamespace(tags=("eu",), fallbacks=None)
    with pytest.raises(PenstockError, match="the tag 'eu', which a rule asks for") as refused:
        choose(caller, ask, exchange, rig.plane)
    assert refused.value.code == "model_not_found"
    rig.plane.channels[0].terms = Terms(tags=("eu", "fast"))
    assert names(choose(caller, ask, exchange, rig.plane)) == ["openai"]


def test_a_caller_may_be_kept_to_one_channel(rig):
    rig.trust()
    caller = rig.know("sk-" + "b" * 48, channel="anthropic", fallbacks=(("*", ("gpt-4o",)),))
    ask = Ask(model="claude-sonnet-4-5", input_size=400)
    assert names(choose(caller, ask, rig.exchange(), rig.plane)) == ["anthropic"]
    assert names(choose(caller, Ask(model="claude-sonnet-4-5", respelled=True), rig.exchange(), rig.plane)) == ["anthropic"]
    for other in ("openai2", ""):
        caller = rig.know("sk-" + "c" * 48, channel=other)
        with pytest.raises(PenstockError) as refused:
            choose(caller, ask, rig.exchange(), rig.plane)
        assert (refused.value.code, refused.value.param) == ("model_not_found", "channel")
