"""The commands for channels: the ways to providers, their credentials and models. Secrets come from stdin or a hidden prompt."""
# ruff: noqa: PLC0415

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from penstock.cli.frame import AsJson, Config, Data, settings_of, show_json, stop, table, with_database

if TYPE_CHECKING:
    from penstock.channels.discovery import Found
    from penstock.channels.imports import Report
    from penstock.channels.service import Channels, Whole
    from penstock.channels.trial import Trial
    from penstock.infra.database import Database
    from penstock.kit.pulse import Pulse
    from penstock.settings import Settings

T = TypeVar("T")
channel = typer.Typer(help="Channels: the ways to providers.", no_args_is_help=True)

Ref = Annotated[str, typer.Argument(metavar="CHANNEL", help="Its name or id.", show_default=False)]
RESTART = "A server that forwards clients' own credentials uses it after a restart."


@channel.command("list")
def list_(as_json: AsJson = False, data: Data = None, config: Config = None) -> None:
    """List the channels, by name."""

    async def read(channels: Channels) -> list[dict[str, Any]]:
        return [_facts(whole, channels) for whole in await channels.all()]

    rows = _with_channels(data, config, read)
    if as_json:
        show_json(rows)
        return
    shown = [{**row, "models": _brief(row["models"]), "credentials": len(row["credentials"]), "trouble": _trouble(row)} for row in rows]
    table(shown, ("name", "provider", "priority", "weight", "enabled", "credentials", "models", "base_url", "trouble"))


@channel.command()
def add(  # noqa: PLR0913, PLR0917  each is an option
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False)],
    provider: Annotated[str, typer.Option(help="Whose it is: openai, anthropic, deepseek, ollama, openai-compatible ...")],
    base_url: Annotated[str, typer.Option(help="Where it is. Default: the provider's usual place.")] = "",
    model: Annotated[list[str] | None, typer.Option(help="A name or glob, or NAME=PROVIDER'S. Again for more. Default: all.")] = None,
    priority: Annotated[int, typer.Option(help="Those with a higher one are tried first.")] = 0,
    weight: Annotated[int, typer.Option(help="Its share among those of the same priority.")] = 1,
    label: Annotated[str, typer.Option(help="To know the credential by.")] = "",
    no_secret: Annotated[bool, typer.Option("--no-secret", help="Without a credential.")] = False,
    allow_private: Annotated[bool | None, typer.Option("--allow-private/--public", help="It may be in a private network.")] = None,
    data: Data = None,
    config: Config = None,
) -> None:
    """Make a channel. Its credential is read from stdin, or asked for: penstock channel add main --provider openai < key.txt."""
    from penstock.channels.drafts import Draft, provider_of
    from penstock.cli.frame import in_words

    with in_words():
        needed = provider_of(provider).needs_secret
    secret = "" if no_secret else _secret(needed=needed)
    if needed and not secret and not no_secret:
        stop(["no credential was given: write it to stdin, or say --no-secret and give it later with: penstock channel secret"])
    models = [_model(each) for each in model] if model else [("*", None)]
    draft = Draft(name, provider, base_url=base_url, models=models, priority=priority, weight=weight, allow_private=allow_private)

    async def act(channels: Channels) -> Whole:
        from penstock.accounts.identity import CLI
        from penstock.channels.service import Given

        return await channels.create(CLI, draft, [Given(secret, label)] if secret else [])

    whole = _with_channels(data, config, act)
    typer.echo(whole.row.id)
    first = f"Give it a credential: penstock channel secret {name}." if needed and not secret else f"Try it: penstock channel test {name}."
    typer.echo(f"{first} {RESTART}", err=True)


@channel.command()
def show(ref: Ref, data: Data = None, config: Config = None) -> None:
    """Show a channel, as JSON, without its secrets."""

    async def read(channels: Channels) -> dict[str, Any]:
        return _facts(await channels.get(ref), channels)

    show_json(_with_channels(data, config, read))


@channel.command("test")
def try_(
    ref: Ref,
    model: Annotated[str | None, typer.Option(help="Under the name that clients ask for. Default: one that is small.")] = None,
    as_json: AsJson = False,
    data: Data = None,
    config: Config = None,
) -> None:
    """Call the provider with each of the channel's credentials, and say what came of it. Ends with status 1 if one does not work."""

    async def act(channels: Channels, settings: Settings, _: Database, pulse: Pulse) -> list[Trial]:
        from penstock.channels.trial import Trials

        return await Trials(settings, channels, pulse).test(ref, model=model)

    trials = _with_pulse(data, config, act)
    rows = [
        {
            "credential": each.label or each.hint or each.credential_id or None,
            "works": each.verdict.works,
            "model": each.model,
            "wire": each.wire,
            "ms": each.latency_ms,
            "verdict": each.verdict.text,
        }
        for each in trials
    ]
    if as_json:
        show_json([{**row, "code": each.verdict.code, "status": each.status} for row, each in zip(rows, trials, strict=True)])
    else:
        table(rows, ("credential", "works", "model", "wire", "ms", "verdict"))
    if not all(each.verdict.works for each in trials):
        raise typer.Exit(1)


@channel.command()
def discover(ref: Ref, data: Data = None, config: Config = None) -> None:
    """Ask a channel's provider now which models it has."""

    async def act(channels: Channels, settings: Settings, database: Database, pulse: Pulse) -> Found:
        from penstock.channels.discovery import Discovery

        return await Discovery(settings, database, channels, pulse).ask(ref)

    found = _with_pulse(data, config, act)
    if found.failure is not None:
        stop([f"{found.failure}; {found.models} models are known from before"])
    typer.echo(f"{found.models} models")


@channel.command()
def secret(
    ref: Ref,
    label: Annotated[str, typer.Option(help="Which one it is, or is to be known by.")] = "",
    data: Data = None,
    config: Config = None,
) -> None:
    """Give a channel a credential, from stdin or asked for. One that it has under the same label is replaced."""
    given = _secret(needed=True)
    if not given:
        stop(["no credential was given: write it to stdin"])

    async def act(channels: Channels) -> str:
        from penstock.accounts.identity import CLI
        from penstock.channels.service import Given

        known = [each for each in (await channels.get(ref)).credentials if each.label == label]
        if len(known) > 1:
            stop([f"{len(known)} credentials of {ref} have this label: change them over the API"])
        if known:
            return (await channels.change_credential(CLI, ref, known[0].id, {"secret": given})).id
        return (await channels.add_credential(CLI, ref, Given(given, label))).id

    typer.echo(_with_channels(data, config, act))


@channel.command()
def reset(ref: Ref, data: Data = None, config: Config = None) -> None:
    """Have what failed of late be asked again at once, with every credential and model. For channels from settings, too."""

    async def act(channels: Channels) -> None:
        from penstock.accounts.identity import CLI
        from penstock.channels.configured import configured

        await channels.reset(CLI, ref, {each.provider.name for each in configured(settings)})

    settings = settings_of(data=data, config=config)
    _with_channels(data, config, act)
    typer.echo(f"reset {ref}", err=True)


@channel.command()
def enable(ref: Ref, data: Data = None, config: Config = None) -> None:
    """Have a channel serve."""
    _act(data, config, "enable", ref)
    typer.echo(f"enabled {ref}", err=True)


@channel.command()
def disable(ref: Ref, data: Data = None, config: Config = None) -> None:
    """Have a channel serve nothing more. Requests that are running go on."""
    _act(data, config, "disable", ref)
    typer.echo(f"disabled {ref}", err=True)


@channel.command()
def delete(ref: Ref, data: Data = None, config: Config = None) -> None:
    """Delete a channel and its credentials for good."""
    _act(data, config, "delete", ref)
    typer.echo(f"deleted {ref}", err=True)


@channel.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    data: Data = None,
    config: Config = None,
) -> None:
    """Bring a set of channels in, TOML or JSON, all or none. A channel of the same name becomes what the set says. - is stdin."""
    try:
        raw = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as failure:
        stop([f"{file}: {failure.strerror or failure}"])

    async def act(channels: Channels) -> Report:
        from penstock.accounts.identity import CLI
        from penstock.channels.imports import bring_in
        from penstock.channels.sets import read_set

        return await bring_in(channels, CLI, read_set(raw), dry_run=dry_run)

    report = _with_channels(data, config, act)
    verb = "would be " if dry_run else ""
    for words, names in ((f"{verb}made", report.created), (f"{verb}changed", report.changed), ("needs its secret", report.lacking)):
        for name in names:
            typer.echo(f"{words}: {name}")


@channel.command()
def export(as_json: AsJson = False, data: Data = None, config: Config = None) -> None:
    """Write all channels to stdout as TOML, to be brought in elsewhere. Secrets are not in it."""

    async def read(channels: Channels) -> list[dict[str, Any]]:
        from penstock.channels.sets import facts_of

        return [facts_of(whole, {"proxy": channels.proxy_of(whole.row)}) for whole in await channels.all()]

    from penstock.channels.sets import write_json, write_toml

    entries = _with_channels(data, config, read)
    typer.echo((write_json if as_json else write_toml)(entries).decode(), nl=False)


def _act(data: Path | None, config: Path | None, what: str, ref: str) -> None:
    async def act(channels: Channels) -> None:
        from penstock.accounts.identity import CLI

        await getattr(channels, what)(CLI, ref)

    _with_channels(data, config, act)


def _with_channels(data: Path | None, config: Path | None, act: Callable[[Channels], Awaitable[T]]) -> T:
    async def run(database: Database) -> T:
        return await act(_channels(settings, database))

    settings = settings_of(data=data, config=config)
    return with_database(data, config, run)


def _with_pulse(data: Path | None, config: Path | None, act: Callable[[Channels, Settings, Database, Pulse], Awaitable[T]]) -> T:
    """The same for what calls providers: the pulse is what ends calls that take too long."""

    async def run(database: Database) -> T:
        from penstock.kit.pulse import Pulse

        pulse = Pulse()
        pulse.start()
        try:
            return await act(_channels(settings, database), settings, database, pulse)
        finally:
            pulse.stop()

    settings = settings_of(data=data, config=config)
    return with_database(data, config, run)


def _channels(settings: Settings, database: Database) -> Channels:
    from penstock.channels.service import Channels
    from penstock.infra.secrets import open_secrets

    try:
        secrets = open_secrets(settings.data, settings.secret_key.get_secret_value() if settings.secret_key else None)
    except ValueError as wrong:
        stop([str(wrong)])
    return Channels(database, secrets)


def _secret(*, needed: bool) -> str:
    if not sys.stdin.isatty():
        return sys.stdin.read().strip()
    words = "Credential" if needed else "Credential (empty: none)"
    return str(typer.prompt(words, hide_input=True, default=... if needed else "", show_default=False, err=True)).strip()


def _model(text: str) -> tuple[str, str | None]:
    public, equals, served = text.partition("=")
    if not public or (equals and not served):
        raise typer.BadParameter("a model is NAME, or NAME=PROVIDER'S", param_hint="--model")
    return public, served or None


def _facts(whole: Whole, channels: Channels) -> dict[str, Any]:
    from penstock.channels.service import pairs_of
    from penstock.channels.sets import shown_proxy
    from penstock.kit.clock import iso, now_ms

    row, told = whole.row, whole.told
    names = (
        "id", "name", "provider", "base_url", "wires", "priority", "weight", "timeouts", "on_disconnect", "tags", "options", "cost_micro",
        "allow_private", "enabled", "discover",
    )  # fmt: skip
    now = now_ms()
    return {
        **{name: getattr(row, name) for name in names},
        "models": [public if served is None else f"{public}={served}" for public, served in pairs_of(row)],
        "proxy": shown_proxy(channels.proxy_of(row)),
        "headers": channels.headers_of(row),
        "credentials": [{"id": each.id, "label": each.label, "hint": each.hint, "enabled": each.enabled} for each in whole.credentials],
        "breakers": [
            {"credential_id": each.credential_id, "model": each.model or None, "reason": each.reason, "until": iso(each.until_ms)}
            for each in whole.breakers
            if each.until_ms > now
        ],
        "offered": None if told is None else told.models,
        "discovery_failure": None if told is None else told.failure,
        "created_at": iso(row.created_at_ms),
    }


def _trouble(row: Mapping[str, Any]) -> str | None:
    """What is the matter with a channel, in short, as far as the database knows."""
    from penstock.upstream.providers import PROVIDERS

    provider = PROVIDERS.get(row["provider"])
    if provider is not None and provider.needs_secret and not any(each["enabled"] for each in row["credentials"]):
        return "no credential"
    found = list(dict.fromkeys(f"{each['model']}: {each['reason']}" if each["model"] else each["reason"] for each in row["breakers"]))
    return None if not found else found[0] + (f" and {len(found) - 1} more" if len(found) > 1 else "")


def _brief(models: list[str]) -> str:
    return ",".join(models[:3]) + (f" and {len(models) - 3} more" if len(models) > 3 else "")
