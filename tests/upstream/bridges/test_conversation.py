from __future__ import annotations

import msgspec

from penstock.upstream.bridges.conversation import Asked, Text, Tool, Turn


def test_an_ask_of_which_nothing_was_said_has_nothing_in_it():
    asked = Asked("m", [])
    said = {name for name in Asked.__struct_fields__ if getattr(asked, name) not in (None, [], {}, False, "m")}
    assert said == {"choices", "shows_usage"}


def test_asks_share_nothing():
    first, second = Asked("m", []), Asked("m", [])
    first.tools.append(Tool("f"))
    first.stop.append("x")
    first.other["a"] = 1
    assert (second.tools, second.stop, second.other) == ([], [], {})


def test_parts_are_told_apart_by_their_kind():
    assert Text("a") == Text("a", None) != Text("a", "5m")
    assert Turn("user", [Text("a")]) != Turn("assistant", [Text("a")])
    assert not issubclass(Text, Turn) and issubclass(Text, msgspec.Struct)
