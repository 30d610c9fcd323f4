"""The control API of channels, under `/api/channels`, and of the providers that there are. For administrators; secrets are never shown."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from penstock.accounts.api.asking import Admin, Paging
from penstock.accounts.api.errors import refusals
from penstock.channels.discovery import Discovery
from penstock.channels.door import ChannelDoor
from penstock.channels.drafts import Draft
from penstock.channels.imports import bring_in
from penstock.channels.service import Channels, Given
from penstock.channels.sets import SIZE_LIMIT, facts_of, read_set, write_json, write_toml
from penstock.channels.shapes import (
    SET,
    SET_CONTENT,
    ChannelChanged,
    ChannelGiven,
    ChannelPage,
    ChannelShown,
    CredentialChanged,
    CredentialGiven,
    CredentialShown,
    DiscoveryShown,
    ImportShown,
    Providers,
    ProviderShown,
    TestShown,
    Tried,
    shown,
    shown_configured,
    shown_credential,
    shown_trial,
)  # fmt: skip
from penstock.channels.trial import Trials
from penstock.kit.errors import PenstockError
from penstock.upstream.providers import PROVIDERS

routes = APIRouter(prefix="/api", tags=["channels"])

_ADMIN = refusals("not_signed_in", "forbidden")
_MISSING = _ADMIN | refusals("invalid_request", "not_found")
_CHANGES = refusals("invalid_request", "private_address", "not_signed_in", "forbidden", "not_found", "conflict", "wrong_secret_key")


def _channels(request: Request) -> Channels:
    return cast(Channels, request.app.state.channels)


def _door(request: Request) -> ChannelDoor:
    return cast(ChannelDoor, request.app.state.channel_door)


def _trials(request: Request) -> Trials:
    return cast(Trials, request.app.state.trials)


def _discovery(request: Request) -> Discovery:
    return cast(Discovery, request.app.state.discovery)


Service = Annotated[Channels, Depends(_channels)]
Door = Annotated[ChannelDoor, Depends(_door)]
ChannelRef = Annotated[
    str, Path(max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$", examples=["chn_..."], description="An id, or a name.")
]
CredentialId = Annotated[str, Path(max_length=100, pattern=r"^[A-Za-z0-9_.-]+$", examples=["crd_..."])]


@routes.get("/providers", responses=_ADMIN)
async def list_providers(_: Admin) -> Providers:
    """The providers that channels can be made for, with their usual base URLs and their options."""
    return Providers(
        data=[
            ProviderShown(
                name=each.name,
                title=each.title or each.name,
                base_url=each.base_url or None,
                wires=list(each.wires),
                needs_secret=each.needs_secret,
                local=each.local,
                options=dict(each.options),
            )
            for each in sorted(PROVIDERS.values(), key=lambda provider: provider.name)
        ]
    )


@routes.get("/channels", responses=_ADMIN | refusals("invalid_request"))
async def list_channels(_: Admin, paging: Paging, channels: Service, door: Door) -> ChannelPage:
    """Channels by name, with what is the matter with them; those from settings are beside the first page."""
    page = await channels.page(paging)
    configured = [shown_configured(each) for each in door.channels if not each.terms.id] if paging.after is None else []
    return ChannelPage(data=[shown(whole, channels, door) for whole in page.data], configured=configured, next=page.next)


@routes.post("/channels", status_code=201, responses=_CHANGES)
async def create_channel(body: ChannelGiven, who: Admin, channels: Service, door: Door) -> ChannelShown:
    """Make a channel, with its credentials. It serves within a second, unless it is not enabled."""
    given = body.model_dump(exclude_unset=True)
    credentials = [Given(**each) for each in given.pop("credentials", ())]
    whole = await channels.create(who, Draft(**_fields(given)), credentials)
    return shown(whole, channels, door, whole_list=True)


@routes.post(
    "/channels/import",
    responses=refusals(
        "invalid_request", "private_address", "not_signed_in", "forbidden", "conflict", "body_too_large", "wrong_secret_key"
    ),
    openapi_extra={"requestBody": {"required": True, "content": SET_CONTENT}},
)
async def import_channels(
    request: Request, who: Admin, channels: Service, dry_run: Annotated[bool, Query(description="Only say what would change.")] = False
) -> ImportShown:
    """Bring a set of channels in, TOML or JSON, all or none. A channel of the same name becomes what the set says."""
    report = await bring_in(channels, who, read_set(await _body(request)), dry_run=dry_run)
    return ImportShown(dry_run=dry_run, **report._asdict())


@routes.get("/channels/export", responses=SET | _ADMIN)
async def export_channels(
    _: Admin,
    channels: Service,
    format: Annotated[Literal["json", "toml"], Query(description="How it is written.")] = "json",  # noqa: A002
) -> Response:
    """All channels as a set to be brought in elsewhere. Secrets are not in it, nor headers, nor a proxy with a password."""
    entries = [facts_of(whole, {"proxy": channels.proxy_of(whole.row)}) for whole in await channels.all()]
    body, kind = (write_json(entries), "application/json") if format == "json" else (write_toml(entries), "application/toml")
    return Response(body, media_type=kind, headers={"content-disposition": f'attachment; filename="channels.{format}"'})


@routes.get("/channels/{channel_id}", responses=_MISSING)
async def get_channel(channel_id: ChannelRef, _: Admin, channels: Service, door: Door) -> ChannelShown:
    """One channel, with all its models."""
    return shown(await channels.get(channel_id), channels, door, whole_list=True)


@routes.patch("/channels/{channel_id}", responses=_CHANGES)
async def change_channel(channel_id: ChannelRef, body: ChannelChanged, who: Admin, channels: Service, door: Door) -> ChannelShown:
    """Change what is given. Requests that are running are not touched; new ones see it within a second."""
    whole = await channels.change(who, channel_id, _fields(body.model_dump(exclude_unset=True)))
    return shown(whole, channels, door, whole_list=True)


@routes.delete("/channels/{channel_id}", status_code=204, responses=_MISSING)
async def delete_channel(channel_id: ChannelRef, who: Admin, channels: Service) -> None:
    """Delete a channel and its credentials for good. Requests that are running go on."""
    await channels.delete(who, channel_id)


@routes.post("/channels/{channel_id}/enable", responses=_MISSING)
async def enable_channel(channel_id: ChannelRef, who: Admin, channels: Service, door: Door) -> ChannelShown:
    """Have a channel serve."""
    await channels.enable(who, channel_id)
    return shown(await channels.get(channel_id), channels, door)


@routes.post("/channels/{channel_id}/disable", responses=_MISSING)
async def disable_channel(channel_id: ChannelRef, who: Admin, channels: Service, door: Door) -> ChannelShown:
    """Have a channel serve nothing more. Requests that are running go on."""
    await channels.disable(who, channel_id)
    return shown(await channels.get(channel_id), channels, door)


@routes.post("/channels/{channel_id}/reset", status_code=204, responses=_MISSING)
async def reset_channel(channel_id: ChannelRef, who: Admin, channels: Service, door: Door) -> None:
    """Have what failed of late be asked again at once, with every credential and model. A channel from settings has its name for an id."""
    await channels.reset(who, channel_id, {each.name for each in door.channels if not each.terms.id})


@routes.post("/channels/{channel_id}/test", responses=_MISSING)
async def try_channel(
    channel_id: ChannelRef, _: Admin, trials: Annotated[Trials, Depends(_trials)], body: Tried | None = None
) -> TestShown:
    """Call the provider with each of the channel's credentials, really but for next to nothing, and say what came of it."""
    asked = body or Tried()
    found = await trials.test(channel_id, model=asked.model, credential_id=asked.credential_id)
    return TestShown(works=all(each.verdict.works for each in found), data=[shown_trial(each) for each in found])


@routes.post("/channels/{channel_id}/discover", responses=_MISSING)
async def discover_models(channel_id: ChannelRef, _: Admin, discovery: Annotated[Discovery, Depends(_discovery)]) -> DiscoveryShown:
    """Ask the provider now which models it has. While it does not answer, what it said before stays."""
    return DiscoveryShown(**(await discovery.ask(channel_id))._asdict())


@routes.post("/channels/{channel_id}/credentials", status_code=201, responses=_CHANGES)
async def add_credential(channel_id: ChannelRef, body: CredentialGiven, who: Admin, channels: Service) -> CredentialShown:
    """Give a channel one more credential. Its share of the requests is divided among those that are enabled."""
    return shown_credential(await channels.add_credential(who, channel_id, Given(**body.model_dump(exclude_unset=True))))


@routes.patch("/channels/{channel_id}/credentials/{credential_id}", responses=_CHANGES)
async def change_credential(
    channel_id: ChannelRef, credential_id: CredentialId, body: CredentialChanged, who: Admin, channels: Service
) -> CredentialShown:
    """Replace the secret of a credential, name it, or switch it on or off."""
    return shown_credential(await channels.change_credential(who, channel_id, credential_id, body.model_dump(exclude_unset=True)))


@routes.delete("/channels/{channel_id}/credentials/{credential_id}", status_code=204, responses=_MISSING)
async def remove_credential(channel_id: ChannelRef, credential_id: CredentialId, who: Admin, channels: Service) -> None:
    """Remove a credential for good."""
    await channels.remove_credential(who, channel_id, credential_id)


def _fields(given: dict[str, Any]) -> dict[str, Any]:
    """What was sent, as a Draft has it."""
    if "models" in given:
        given["models"] = [(each, None) if isinstance(each, str) else (each["name"], each.get("served")) for each in given["models"]]
    return given


async def _body(request: Request) -> bytes:
    found = bytearray()
    async for chunk in request.stream():
        found += chunk
        if len(found) > SIZE_LIMIT:
            raise PenstockError("body_too_large", f"A set of channels has at most {SIZE_LIMIT // 1024 // 1024} MiB.")
    return bytes(found)
