from __future__ import annotations

import pytest

from penstock.upstream.bridges.responses.open_items import OpenCall, OpenMessage, OpenThought, encoded


class Kept:
    def __init__(self):
        self.events = []

    def piece(self, before, after, delta):
        self.events.append((before.split(b"\n")[0].removeprefix(b"event: response.").decode(), delta))

    def event(self, kind, about):
        self.events.append((kind.removeprefix("response."), about))


@pytest.fixture
def kept():
    return Kept()


def call(*, custom=False, wrapped=False):
    return OpenCall("fc_1", 0, ("c", "f"), 0, None, custom=custom, wrapped=wrapped)


def test_parts_of_a_message_are_numbered(kept):
    message = OpenMessage("msg_1", 2)
    for kind, delta in (("output_text", "a"), ("output_text", "b"), ("refusal", "c"), ("output_text", "d")):
        message.more(kept, kind, delta)
    message.close(kept), message.close(kept)
    assert [about["content_index"] for kind, about in kept.events if kind == "content_part.added"] == [0, 1, 2]
    assert [part.get("text", part.get("refusal")) for part in message.item("completed")["content"]] == ["ab", "c", "d"]


def test_a_thought_without_words_has_no_summary(kept):
    thought = OpenThought("rs_1", 0)
    thought.sealed = "enc"
    thought.close(kept)
    assert kept.events == [] and thought.item("completed") == {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "enc"}


@pytest.mark.parametrize(
    ("pieces", "whole"), [([], False), (['{"a"'], False), (['{"a"', ":1}"], True), (["{}", " "], True), (['{"a":"}'], False)]
)
def test_a_call_knows_when_it_is_whole(kept, pieces, whole):
    one = call()
    for piece in pieces:
        one.more(kept, piece)
        one.whole()
    assert one.whole() is whole


def test_free_text_is_never_known_to_be_whole(kept):
    one = call(custom=True)
    one.more(kept, "{}")
    assert not one.whole()
    one.close(kept)
    assert one.item("completed")["input"] == "{}"


def test_a_call_without_arguments_has_an_empty_object(kept):
    one = call()
    one.close(kept)
    assert kept.events[0] == ("function_call_arguments.delta", "{}") and one.item("completed")["arguments"] == "{}"


def test_a_wrapped_call_gives_what_is_held_at_its_end(kept):
    one = call(wrapped=True)
    one.more(kept, '"only text"')
    assert kept.events == []
    one.close(kept)
    assert one.item("completed")["input"] == "only text"


def test_strings():
    assert encoded('a"b') == b'"a\\"b"' and encoded("\ud800") == b'"?"'
