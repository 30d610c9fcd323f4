from __future__ import annotations

import pytest

from collector import Collector
from penstock.upstream.bridges import SIDES
from penstock.upstream.bridges.conversation import Asked, Failure, Reply, Text
from penstock.upstream.bridges.side import About
from penstock.upstream.usage import Usage
from penstock.upstream.wires import WIRES


@pytest.mark.parametrize("wire", SIDES)
def test_every_side_is_of_a_wire_and_posts_where_that_wire_is(wire):
    side = SIDES[wire]
    assert side.wire == wire and wire in WIRES
    path, _ = side.path(Asked("m", []), "m")
    assert WIRES[wire].addressed or path in WIRES[wire].paths


@pytest.mark.parametrize("wire", SIDES)
def test_every_side_writes_what_it_can_read(wire):
    side = SIDES[wire]
    about = About(Asked("m", []), "m", "req_1", 1)
    reply = side.read_reply(side.write_reply(Reply("id_1", "m", [Text("Hello")], "end", Usage(3, output_tokens=2)), about))
    assert (reply.parts, reply.stop) == ([Text("Hello")], "end")
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (3, 2)
    status, body = side.write_failure(Failure(429, "Slow down."), "req_1")
    read = side.read_failure(status, body)
    assert (read.status, read.message) == (429, "Slow down.")


@pytest.mark.parametrize("wire", SIDES)
def test_every_side_hears_what_it_tells(wire):
    side = SIDES[wire]
    teller, heard = side.teller(About(Asked("m", []), "m", "req_1", 1)), Collector()
    teller.begin("id_1", "m", Usage(3))
    teller.text("Hel")
    teller.text("lo")
    assert not teller.ended
    teller.end("end", Usage(3, output_tokens=2))
    assert teller.ended
    listener = side.listener(heard)
    for event in teller.take().split(b"\n\n"):
        listener.event(event)
    listener.over()
    assert (heard.reply.parts, heard.reply.stop, heard.reply.usage.output_tokens) == ([Text("Hello")], "end", 2)


@pytest.mark.parametrize("wire", SIDES)
def test_names_of_tools_that_were_changed_are_found_by_their_own(wire):
    about = About(Asked("m", []), "m", "req_1", 1)
    assert about.aliases == {}
    assert SIDES[wire].teller(about).ended is False
