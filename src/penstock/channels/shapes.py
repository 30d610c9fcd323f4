"""Shapes of the control API of channels: what it takes and what it shows."""

from __future__ import annotations

import time
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from penstock.channels.door import ChannelDoor
from penstock.channels.drafts import (
    COST_LIMIT_MICRO,
    MODEL_LIMIT,
    MODELS_LIMIT,
    NAME_LIMIT,
    PRIORITY_LIMIT,
    SECRET_LIMIT,
    URL_LIMIT,
    WEIGHT_LIMIT,
)  # fmt: skip
from penstock.channels.models import CredentialRow
from penstock.channels.service import LABEL_LIMIT, Channels, Whole, pairs_of
from penstock.channels.sets import FORMAT, shown_proxy
from penstock.channels.trial import Trial
from penstock.kit import clock
from penstock.kit.money import PER_MILLION
from penstock.upstream.channel import Channel

LISTED = 100
"""Models of a channel that a list shows."""
_LEFT_OUT: Any = Field(default_factory=lambda: None)  # a factory's value is in no schema, and what is left out is not looked at
_MODELS = ["gpt-4o*", {"name": "fast", "served": "gpt-4o-mini"}]
_SET_EXAMPLE = {
    "format": FORMAT,
    "channels": [{"name": "main", "provider": "openai", "models": _MODELS, "credentials": [{"label": "first", "secret": "sk-..."}]}],
}
_TOML_EXAMPLE = '[[channels]]\nname = "main"\nprovider = "openai"\ncredentials = [{label = "first", secret = "sk-..."}]\n'
SET_CONTENT: dict[str, Any] = {
    "application/json": {"schema": {"type": "object"}, "example": _SET_EXAMPLE},
    "application/toml": {"schema": {"type": "string"}, "example": _TOML_EXAMPLE},
}
SET: dict[int | str, dict[str, Any]] = {200: {"description": "A set of channels.", "content": SET_CONTENT}}


def _example(**example: Any) -> ConfigDict:
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [example]})


Name = Annotated[str, Field(min_length=1, max_length=NAME_LIMIT, description="Unique among channels.", examples=["main"])]
Seconds = Annotated[float, Field(strict=True, ge=0.01, le=86_400)]
ModelName = Annotated[str, Field(min_length=1, max_length=MODEL_LIMIT)]
Url = Annotated[str, Field(max_length=URL_LIMIT, examples=["https://api.openai.com/v1"])]
Label = Annotated[str, Field(max_length=LABEL_LIMIT, description="To know it by.", examples=["first"])]
Secret = Annotated[str, Field(min_length=1, max_length=SECRET_LIMIT, examples=["sk-..."])]


class ModelGiven(BaseModel):
    """A model under another name than the provider's. With a * in both, that of `served` stands for what that of `name` does."""

    model_config = _example(name="fast", served="gpt-4o-mini")

    name: ModelName
    served: ModelName | None = None


class Timeouts(BaseModel):
    """A channel's own limits of time, in seconds; those that are left out are as the settings say."""

    model_config = _example(first_byte_s=120)

    connect_s: Annotated[Seconds, Field(description="To make a connection.")] = _LEFT_OUT
    first_byte_s: Annotated[Seconds, Field(description="Until the answer begins.")] = _LEFT_OUT
    idle_s: Annotated[Seconds, Field(description="Of silence in the middle of an answer.")] = _LEFT_OUT
    total_s: Annotated[Seconds, Field(description="For a whole answer.")] = _LEFT_OUT


class CredentialGiven(BaseModel):
    """A credential."""

    model_config = _example(label="first", secret="sk-...")  # noqa: S106  an example

    secret: Secret
    label: Label = ""
    enabled: StrictBool = True


class CredentialChanged(BaseModel):
    """What is to be changed of a credential; what is left out stays as it is."""

    model_config = _example(enabled=False)

    secret: Secret = _LEFT_OUT
    label: Label = _LEFT_OUT
    enabled: StrictBool = _LEFT_OUT


class _Terms(BaseModel):
    base_url: Annotated[Url, Field(description="Where the provider is. Default: its usual place.")] = _LEFT_OUT
    models: Annotated[
        list[ModelName | ModelGiven],
        Field(min_length=1, max_length=MODELS_LIMIT, description="Names and globs; default: all.", examples=[_MODELS]),
    ] = _LEFT_OUT
    wires: Annotated[
        list[str] | None,
        Field(max_length=100, description="Protocols it speaks, the preferred first; null: its provider's.", examples=[["chat"]]),
    ] = _LEFT_OUT
    priority: Annotated[StrictInt, Field(ge=-PRIORITY_LIMIT, le=PRIORITY_LIMIT, description="Those with a higher one are tried first.")] = (
        _LEFT_OUT
    )
    weight: Annotated[
        StrictInt, Field(ge=0, le=WEIGHT_LIMIT, description="Its share among those of the same priority; 0: the last resort.")
    ] = _LEFT_OUT
    proxy: Annotated[
        str | None,
        Field(max_length=URL_LIMIT, description="An HTTP proxy to connect through.", examples=["http://user:...@proxy.example.com:3128"]),
    ] = _LEFT_OUT
    headers: Annotated[dict[str, str], Field(max_length=50, description="Sent with each request.", examples=[{"x-team": "blue"}])] = (
        _LEFT_OUT
    )
    timeouts: Timeouts = _LEFT_OUT
    on_disconnect: Annotated[
        Literal["cancel", "drain"] | None, Field(description="What becomes of an answer whose client leaves; null: as the settings say.")
    ] = _LEFT_OUT
    tags: Annotated[list[str], Field(max_length=50, examples=[["eu"]])] = _LEFT_OUT
    options: Annotated[dict[str, str | StrictInt | StrictBool | float], Field(description="The provider's own.", examples=[{}])] = _LEFT_OUT
    cost_micro: Annotated[
        StrictInt,
        Field(
            ge=0,
            le=COST_LIMIT_MICRO,
            description="What the provider charges you, in millionths of its official price.",
            examples=[PER_MILLION],
        ),
    ] = _LEFT_OUT
    allow_private: Annotated[StrictBool | None, Field(description="It may be in a private network; null: if its provider usually is.")] = (
        _LEFT_OUT
    )
    enabled: StrictBool = _LEFT_OUT
    discover: Annotated[StrictBool | None, Field(description="Ask the provider for its models; null: where a glob stands for them.")] = (
        _LEFT_OUT
    )


class ChannelGiven(_Terms):
    """A channel to be made."""

    model_config = _example(name="main", provider="openai", models=_MODELS, credentials=[{"label": "first", "secret": "sk-..."}])

    name: Name
    provider: Annotated[str, Field(max_length=100, examples=["openai"])]
    credentials: Annotated[list[CredentialGiven], Field(max_length=200)] = _LEFT_OUT


class ChannelChanged(_Terms):
    """What is to be changed of a channel; what is left out stays as it is."""

    model_config = _example(weight=2, models=["gpt-4o*"])

    name: Name = _LEFT_OUT


class Tried(BaseModel):
    """How a channel is to be tried."""

    model_config = _example(model="gpt-4o-mini")

    model: Annotated[
        ModelName | None, Field(description="Under the name that clients ask for; null: one that is small.", examples=["fast"])
    ] = None
    credential_id: Annotated[str | None, Field(max_length=100, examples=["crd_..."], description="Null: each.")] = None


class CredentialShown(BaseModel):
    """A credential, without its secret."""

    id: Annotated[str, Field(examples=["crd_..."])]
    label: Annotated[str, Field(examples=["first"])]
    hint: Annotated[str, Field(description="The end of the secret, if it is a long one.", examples=["wxyz"])]
    enabled: bool
    created_at: str


class BreakerShown(BaseModel):
    """Something that has failed of late, and is left alone until it is tried again."""

    credential_id: Annotated[str, Field(examples=["crd_..."])]
    model: Annotated[str | None, Field(description="As the provider knows it; null: all.", examples=["gpt-4o"])]
    reason: Annotated[str, Field(examples=["429 Too Many Requests"])]
    failures: int
    until: Annotated[str, Field(examples=["2027-01-31T12:00:00Z"])]


class ModelShown(BaseModel):
    """A model of a channel; `served` null: the provider knows it by the same name."""

    name: Annotated[str, Field(examples=["fast"])]
    served: Annotated[str | None, Field(examples=["gpt-4o-mini"])]


class ChannelShown(BaseModel):
    """A channel, without its secrets."""

    id: Annotated[str, Field(examples=["chn_..."])]
    name: Annotated[str, Field(examples=["main"])]
    provider: Annotated[str, Field(examples=["openai"])]
    base_url: Annotated[str, Field(examples=["https://api.openai.com/v1"])]
    models: Annotated[list[ModelShown], Field(description=f"A list of channels shows the first {LISTED} of each.")]
    model_count: int
    wires: Annotated[list[str] | None, Field(examples=[["chat"]])]
    priority: int
    weight: int
    proxy: Annotated[str | None, Field(description="Without its user and password.", examples=["http://proxy.example.com:3128"])]
    headers: Annotated[list[str], Field(description="Their names.", examples=[["x-team"]])]
    timeouts: dict[str, float]
    on_disconnect: Literal["cancel", "drain"] | None
    tags: Annotated[list[str], Field(examples=[["eu"]])]
    options: dict[str, Any]
    cost_micro: int
    allow_private: bool
    enabled: bool
    discover: bool
    credentials: list[CredentialShown]
    breakers: Annotated[list[BreakerShown], Field(description="As the process that answers sees them.")]
    problem: Annotated[str | None, Field(description="Why it cannot be used; null: it can.")]
    offered: Annotated[int | None, Field(description="Models that the provider says it has; null: it has not been asked, or has no list.")]
    discovered_at: Annotated[str | None, Field(description="When it was last asked.")]
    discovery_failure: Annotated[str | None, Field(description="Why it did not answer then.")]
    created_at: str
    changed_at: str


class ConfiguredShown(BaseModel):
    """A channel from settings, which are where it is changed."""

    name: Annotated[str, Field(examples=["openai"])]
    provider: Annotated[str, Field(examples=["openai"])]
    base_url: Annotated[str, Field(examples=["https://api.openai.com/v1"])]
    own_credential: Annotated[bool, Field(description="No: each client's own is forwarded.")]
    offered: int | None
    breakers: list[BreakerShown]


class ChannelPage(BaseModel):
    """Some channels, by name."""

    data: list[ChannelShown]
    configured: Annotated[list[ConfiguredShown], Field(description="Those from settings; on the first page alone.")]
    next: Annotated[str | None, Field(description="The cursor of the next page; null: there is none.")]


class TrialShown(BaseModel):
    """What came of trying a credential."""

    credential_id: Annotated[str | None, Field(examples=["crd_..."])]
    label: Annotated[str, Field(examples=["first"])]
    hint: Annotated[str, Field(examples=["wxyz"])]
    works: bool
    code: Annotated[str, Field(description="For programs.", examples=["works"])]
    verdict: Annotated[str, Field(description="For people.", examples=["It works."])]
    model: Annotated[str | None, Field(description="Which was asked for, as the provider knows it.", examples=["gpt-4o-mini"])]
    wire: Annotated[str | None, Field(description="Over which protocol; null: only the list of models was asked for.", examples=["chat"])]
    status: Annotated[int | None, Field(examples=[200])]
    latency_ms: Annotated[int | None, Field(examples=[420])]


class TestShown(BaseModel):
    """What came of trying a channel: each of its credentials."""

    works: bool
    data: list[TrialShown]


class DiscoveryShown(BaseModel):
    """What came of asking a provider for its models."""

    channel_id: Annotated[str, Field(examples=["chn_..."])]
    models: Annotated[int, Field(description="How many there are.", examples=[42])]
    failure: Annotated[str | None, Field(description="Why it did not answer; the models are those from before.")]


class ImportShown(BaseModel):
    """What an import has done, or would do: names of channels."""

    dry_run: bool
    created: Annotated[list[str], Field(examples=[["main"]])]
    changed: Annotated[list[str], Field(examples=[[]])]
    lacking: Annotated[list[str], Field(description="Credentials whose secrets are to be added by hand.", examples=[[]])]


class ProviderShown(BaseModel):
    """A provider that channels can be made for."""

    name: Annotated[str, Field(examples=["openai"])]
    title: Annotated[str, Field(examples=["OpenAI"])]
    base_url: Annotated[str | None, Field(description="Null: a channel must say.", examples=["https://api.openai.com/v1"])]
    wires: Annotated[list[str], Field(description="Protocols it speaks.", examples=[["chat"]])]
    needs_secret: bool
    local: Annotated[bool, Field(description="It usually runs in one's own network, so that its channels may be there.")]
    options: Annotated[dict[str, str], Field(description="What `options` may have, and what it means.")]


class Providers(BaseModel):
    """All providers, by name."""

    data: list[ProviderShown]


def shown(whole: Whole, channels: Channels, door: ChannelDoor, *, whole_list: bool = False) -> ChannelShown:
    """A channel as it is shown; with all its models, or the first of them."""
    row, told = whole.row, whole.told
    pairs = pairs_of(row)
    facts = {
        name: getattr(row, name)
        for name in (
            "id", "name", "provider", "base_url", "wires", "priority", "weight", "timeouts", "on_disconnect", "tags", "options",
            "cost_micro", "allow_private", "enabled", "discover",
        )
    }  # fmt: skip
    return ChannelShown(
        **facts,
        models=[ModelShown(name=name, served=served) for name, served in (pairs if whole_list else pairs[:LISTED])],
        model_count=len(pairs),
        proxy=shown_proxy(channels.proxy_of(row)),
        headers=channels.headers_of(row),
        credentials=[shown_credential(each) for each in whole.credentials],
        breakers=[each for channel in door.channels if channel.terms.id == row.id for each in _breakers(channel)],
        problem=door.problems.get(row.id),
        offered=None if told is None else told.models or None,
        discovered_at=None if told is None else clock.iso(told.at_ms),
        discovery_failure=None if told is None else told.failure,
        created_at=clock.iso(row.created_at_ms),
        changed_at=clock.iso(row.changed_at_ms),
    )


def shown_configured(channel: Channel) -> ConfiguredShown:
    """A channel from settings as it is shown."""
    return ConfiguredShown(
        name=channel.name,
        provider=channel.provider.name,
        base_url=channel.base_url,
        own_credential=not channel.transparent,
        offered=None if channel.offers is None else len(channel.offers),
        breakers=_breakers(channel),
    )


def _breakers(channel: Channel) -> list[BreakerShown]:
    if not channel.breakers.troubled:
        return []
    now_s = time.time()
    return [
        BreakerShown(
            credential_id=channel.terms.credential_id,
            model=state.model or None,
            reason=state.reason,
            failures=state.failures,
            until=clock.iso(round(state.until_s * 1000)),
        )
        for state in channel.breakers.states()
        if state.until_s > now_s or channel.breakers.blocks(state.model, now_s)
    ]


def shown_credential(row: CredentialRow) -> CredentialShown:
    """A credential as it is shown."""
    return CredentialShown(id=row.id, label=row.label, hint=row.hint, enabled=row.enabled, created_at=clock.iso(row.created_at_ms))


def shown_trial(trial: Trial) -> TrialShown:
    """What came of trying a credential, as it is shown."""
    return TrialShown(
        credential_id=trial.credential_id or None,
        label=trial.label,
        hint=trial.hint,
        works=trial.verdict.works,
        code=trial.verdict.code,
        verdict=trial.verdict.text,
        model=trial.model,
        wire=trial.wire,
        status=trial.status,
        latency_ms=trial.latency_ms,
    )
