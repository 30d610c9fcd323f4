"""The official SDKs list models and look them up: in each vendor's shape, in pages, with slashes and @ in their names."""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import openai
import pytest
from anthropic import Anthropic
from google import genai
from google.genai import errors
from openai import OpenAI

from bridge_stage import add_channel
from live_gateway import LiveGateway

NOWHERE = "http://127.0.0.1:9"
ODD = ("@cf/meta/llama-3.1-8b-instruct", "anthropic/claude-sonnet-4.5:thinking", "models/with spaces", "größer")
MANY = tuple(f"many-{number:03d}" for number in range(45))
ALL = {*ODD, *MANY, "claude-mine", "gemini-mine", "embeds"}
TALKS = {*ODD, *MANY, "claude-mine", "gemini-mine"}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    with LiveGateway(tmp_path_factory.mktemp("gateway"), own_keys=True) as running:
        add_channel(
            running, "chat", f"{NOWHERE}/v1", provider="openai", wires=("chat",), models=[(name, "gpt-4o") for name in (*ODD, *MANY)]
        )
        add_channel(running, "messages", NOWHERE, provider="anthropic", models=[("claude-mine", "claude-sonnet-4-5")])
        add_channel(running, "gemini", NOWHERE, provider="gemini", models=[("gemini-mine", "gemini-2.5-flash")])
        add_channel(
            running, "embeddings", f"{NOWHERE}/v1", provider="openai", wires=("embeddings",), models=[("embeds", "text-embedding-3-small")]
        )
        yield running


@pytest.fixture
def sdk_openai(gateway: LiveGateway) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0) as client:
        yield client


@pytest.fixture
def sdk_anthropic(gateway: LiveGateway) -> Iterator[Anthropic]:
    with Anthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0) as client:
        yield client


@pytest.fixture(params=["v1", "v1beta", None])
def sdk_google(gateway: LiveGateway, request: pytest.FixtureRequest) -> Iterator[genai.Client]:
    version = {"api_version": request.param} if request.param else {}
    client = genai.Client(api_key=gateway.key, http_options={"base_url": gateway.url, **version})
    yield client
    client.close()


def test_openai_s_list(sdk_openai):
    found = list(sdk_openai.models.list())
    assert {model.id for model in found} == ALL and len(found) == len(ALL)
    assert all(model.object == "model" and isinstance(model.created, int) and model.owned_by for model in found)
    sizes = {model.id: (model.model_extra or {}).get("context_length") for model in found}
    assert sizes["claude-mine"] is None or sizes["claude-mine"] >= 100_000


@pytest.mark.parametrize(
    ("protocol", "ids"),
    [
        ("openai-embeddings", {"embeds"}),
        ("anthropic-messages", TALKS),
        ("openai-chat", TALKS),
        ("gemini", TALKS),
        ("chat", TALKS),
        ("nothing", set()),
    ],
)
def test_a_list_of_one_protocol(sdk_openai, protocol, ids):
    assert {model.id for model in sdk_openai.models.list(extra_query={"protocol": protocol})} == ids


def test_anthropic_s_list_comes_in_pages(sdk_anthropic):
    page = sdk_anthropic.models.list(limit=10)
    assert len(page.data) == 10 and page.has_more
    ids = [model.id for model in sdk_anthropic.models.list(limit=10)]
    assert set(ids) == ALL and len(ids) == len(ALL)
    assert all(model.type == "model" and model.display_name and model.created_at.year >= 1970 for model in page.data)
    assert [model.id for model in sdk_anthropic.models.list(limit=1000)] == ids
    before = sdk_anthropic.models.list(limit=5, before_id=ids[20])
    assert [model.id for model in before.data] == ids[15:20]


def test_google_s_list(sdk_google):
    found = list(sdk_google.models.list(config={"page_size": 7}))
    assert {model.name.removeprefix("models/") for model in found} == TALKS
    assert all("generateContent" in model.supported_actions for model in found)


@pytest.mark.parametrize("model", [*ODD, "many-007", "claude-mine"])
def test_one_is_looked_up(sdk_openai, sdk_anthropic, model):
    assert sdk_openai.models.retrieve(model).id == model
    assert sdk_anthropic.models.retrieve(model).id == model


@pytest.mark.parametrize("model", ["gemini-mine", "many-007", "größer"])
def test_one_is_looked_up_at_google_s(sdk_google, model):
    assert sdk_google.models.get(model=model).name == f"models/{model}"


def test_what_there_is_not(sdk_openai, sdk_anthropic, sdk_google):
    with pytest.raises(openai.NotFoundError) as missing:
        sdk_openai.models.retrieve("@cf/none/such")
    assert missing.value.code == "model_not_found"
    with pytest.raises(anthropic.NotFoundError):
        sdk_anthropic.models.retrieve("none/such")
    with pytest.raises(errors.ClientError) as other:
        sdk_google.models.get(model="none")
    assert (other.value.code, other.value.status) == (404, "NOT_FOUND")


def test_a_key_sees_what_it_may_use(gateway, sdk_openai, sdk_anthropic):
    key = gateway.run(gateway.parts.keys.create("few", models=["many-00*", "claude-*"])).token
    few = {*MANY[:10], "claude-mine"}
    assert {model.id for model in sdk_openai.with_options(api_key=key).models.list()} == few
    assert {model.id for model in sdk_anthropic.with_options(api_key=key).models.list(limit=3)} == few
    with pytest.raises(openai.NotFoundError):
        sdk_openai.with_options(api_key=key).models.retrieve("gemini-mine")


def test_lists_cost_nothing(gateway, sdk_openai):
    sdk_openai.models.list()
    assert gateway.charges() == []
