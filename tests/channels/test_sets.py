"""Sets of channels: read as TOML and JSON, written without secrets."""

from __future__ import annotations

import json
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.channels.drafts import Draft
from penstock.channels.service import Given
from penstock.channels.sets import facts_of, read_set, shown_proxy, write_json, write_toml
from penstock.kit.errors import PenstockError

TOML = b"""
[[channels]]
name = "main"
provider = "openai"
models = ["gpt-4o*", {name = "fast", served = "gpt-4o-mini"}]
timeouts = {idle_s = 5}
credentials = [{label = "a", secret = "sk-..."}, {label = "b"}]
"""
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=12)
VALUES = TEXT | st.booleans() | st.integers(-(2**62), 2**62) | st.lists(TEXT, max_size=3) | st.dictionaries(TEXT, TEXT, max_size=3)


def test_toml():
    (entry,) = read_set(TOML)
    assert entry.draft == Draft("main", "openai", models=[("gpt-4o*", None), ("fast", "gpt-4o-mini")], timeouts={"idle_s": 5.0}, tags=[])
    assert [(given.label, given.secret) for given in entry.credentials] == [("a", "sk-..."), ("b", "")]


def test_json():
    assert read_set(json.dumps(tomllib.loads(TOML.decode())).encode()) == read_set(TOML)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "channels"), (b"what = [", "neither TOML"), (b"{", "neither TOML"), (b"\xff", "neither TOML"), (b'{"channels": []}', "1 to"),
        (b'[[channels]]\nname = "a"', "provider"), (b'[[channels]]\nname = "a"\nprovider = "openai"\nweight = "1"', "weight"),
        (b'[[channels]]\nname = "a"\nprovider = "openai"\nwieght = 1', "wieght"), (b'format = "x"\n' + TOML, "format"),
        (TOML + TOML, "once"),
    ],
)  # fmt: skip
def test_what_is_no_set(raw, said):
    with pytest.raises(PenstockError, match=said):
        read_set(raw)


@given(raw=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_whatever_comes(raw):
    try:
        read_set(raw)
    except PenstockError:
        pass


@given(entries=st.lists(st.dictionaries(st.sampled_from(["name", "tags", "x"]), VALUES, max_size=3), max_size=3))
def test_what_is_written_is_read_as_it_was(entries):
    assert tomllib.loads(write_toml(entries).decode()).get("channels", []) == entries
    assert json.loads(write_json(entries))["channels"] == entries


async def test_what_is_usual_is_left_out(channels, operator):
    await channels.create(operator, Draft("main", "openai", proxy="http://u:word@p.example.com"), [Given("sk-x", "a", enabled=False)])
    whole = await channels.get("main")
    facts = facts_of(whole, {"proxy": channels.proxy_of(whole.row)})
    assert facts == {"name": "main", "provider": "openai", "credentials": [{"label": "a", "enabled": False}]}


def test_a_proxy_is_shown_without_its_password():
    assert shown_proxy("http://u:p@p.example.com:3128") == "http://...@p.example.com:3128"
    assert shown_proxy("http://p.example.com") == "http://p.example.com" and shown_proxy(None) is None
