from __future__ import annotations

import pytest

from fake_workers_ai import (
    ACCOUNT,
    BGE,
    FLUX2,
    IMG2IMG,
    KLEIN,
    LLAMA,
    LUCID,
    PHOENIX,
    SCHNELL,
    SCOUT,
    SDXL,
    FakeWorkersAI,
    channel,
    fetching,
    item,
)
from penstock.upstream.client.connection import UpstreamError
from penstock.upstream.offers import Offer
from penstock.upstream.providers.workers_ai import PROVIDER, base_url, find_pictures


@pytest.fixture
async def workers():
    async with FakeWorkersAI() as fake:
        yield fake


async def offers(workers, **how):
    async with fetching(workers, **how) as fetch:
        return {offer.name: offer for offer in await PROVIDER.discover(fetch, {})}


def test_where_and_how():
    base = f"/client/v4/accounts/{ACCOUNT}/ai"
    for given in (base, base + "/", base + "/v1"):
        assert PROVIDER.target(given, "/v1/chat/completions") == base + "/v1/chat/completions"
        assert PROVIDER.target(given, "/run/@cf/meta/llama") == base + "/run/@cf/meta/llama"
    assert PROVIDER.credential("cf") == b"authorization: Bearer cf\r\n"
    assert PROVIDER.wires == ("workers_chat", "workers_embeddings", "workers_images")


def test_the_account_is_in_the_base_url():
    assert base_url(ACCOUNT) == f"https://api.cloudflare.com/client/v4/accounts/{ACCOUNT}/ai"
    assert base_url("a/b", "http://x.test/{account_id}/ai/") == "http://x.test/a%2Fb/ai"
    assert base_url("a", "http://x.test/ai") == "http://x.test/ai"


async def test_wires_by_task(workers):
    found = await offers(workers)
    assert {name for name, offer in found.items() if offer.wires == ("workers_chat",)} == {SCOUT, LLAMA, "@hf/mistral/mistral-7b"}
    assert {name for name, offer in found.items() if offer.wires == ("workers_embeddings",)} == {BGE}
    drawn = {SCHNELL, FLUX2, KLEIN, LUCID, PHOENIX, SDXL, "@cf/test/no-schema", "@cf/test/malformed-schema"}
    assert {name for name, offer in found.items() if offer.wires == ("workers_images",)} == drawn
    unusable = {"@cf/openai/whisper", "@cf/test/no-task"}
    assert {name for name, offer in found.items() if offer.wires == ()} == unusable
    assert not {"@cf/test/gone", IMG2IMG, "@cf/test/needs-a-picture"} & found.keys()
    assert len(found) == len(drawn) + len(unusable) + 4


async def test_what_is_known_of_a_model(workers):
    found = await offers(workers)
    scout = found[SCOUT]
    assert (scout.owner, scout.created, scout.context_tokens) == ("meta", 1743884756, 131000)
    assert (found[BGE].context_tokens, found[LLAMA].created, found["@hf/mistral/mistral-7b"].created) == (60000, 0, 0)
    assert {name: found[name].options["image"] for name in (SCHNELL, FLUX2, KLEIN, SDXL)} == {
        SCHNELL: "json", FLUX2: "multipart", KLEIN: "multipart", SDXL: "json",
    }  # fmt: skip
    assert found[SDXL].outputs == ("image",)
    assert (scout.inputs, found[LLAMA].inputs) == (("text", "image"), ("text",))


@pytest.mark.parametrize("pages", [1, 3, 1000])
async def test_pages(workers, pages):
    workers.pages = pages
    workers.listed = [item(f"@cf/a/m{index}") for index in range(7)]
    assert len(await offers(workers)) == 7
    assert len(workers.heard) == {1: 8, 3: 3, 1000: 2}[pages]


async def test_a_list_that_repeats_itself(workers):
    workers.repeats = True
    workers.listed = [item("@cf/a/b")]
    assert list(await offers(workers)) == ["@cf/a/b"]
    assert len(workers.heard) == 2


async def test_schemas_are_asked_for_a_few_at_a_time(workers):
    await offers(workers)
    assert workers.most_at_once <= 4
    assert all(heard.headers["user-agent"] == "penstock" for heard in workers.heard)


async def test_failures_are_raised(workers):
    with pytest.raises(ValueError, match=r"refuses the API token.*Authentication error.*status 401"):
        await offers(workers, secret="wrong")
    with pytest.raises(ValueError, match="is the account id right"):
        await offers(workers, base_url=workers.base_url.replace(ACCOUNT, "other"))
    workers.list_fails = True
    with pytest.raises(ValueError, match="502 Bad Gateway"):
        await offers(workers)
    with pytest.raises(UpstreamError):
        await offers(workers, base_url="http://127.0.0.1:9/ai")


@pytest.mark.parametrize("result", [None, {"models": []}])
async def test_a_list_that_is_none(workers, result):
    workers.answer = lambda _: (200, "application/json", b'{"result":%b,"success":true}' % (b"null" if result is None else b"{}"))
    with pytest.raises(ValueError, match="not a list"):
        await offers(workers)


async def test_an_answer_that_is_no_json(workers):
    workers.answer = lambda _: (200, "text/html", b"<html>")
    with pytest.raises(ValueError, match="something else than JSON"):
        await offers(workers)


async def test_a_schema_that_cannot_be_had(workers):
    async with fetching(workers) as fetch:
        assert (await find_pictures(fetch, "@cf/x/flux-2-new")).form
        assert list((await find_pictures(fetch, "@cf/x/unknown")).fields) == ["prompt"]


def test_a_channel_offers_only_what_it_serves():
    made = channel(FakeWorkersAI(port=9))
    made.offers = {"@cf/a/b": Offer("@cf/a/b", ("workers_chat",)), "@cf/a/c": Offer("@cf/a/c", ())}
    assert made.speaks("workers_chat", "@cf/a/b") and not made.speaks("workers_images", "@cf/a/b")
    assert not any(made.speaks(wire, "@cf/a/c") for wire in PROVIDER.wires)
