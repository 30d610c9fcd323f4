"""The commands that run the gateway and look after its database."""
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

import penstock
from penstock.cli.frame import REFUSED, AsJson, Config, Data, in_words, settings_of, show_json, stop, with_database

if TYPE_CHECKING:
    from penstock.infra.database import Database

operations = typer.Typer()


@operations.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that serve.")] = None,
    data: Data = None,
    config: Config = None,
    demo: Annotated[bool, typer.Option("--demo", help="Serve the built-in demo provider.")] = False,
) -> None:
    """Run the gateway until it is told to stop."""
    settings = settings_of(host=host, port=port, workers=workers, data=data, config=config, demo=demo or None)
    with in_words():
        from penstock.serving import serve as run

        raise typer.Exit(run(settings))


@operations.command()
def demo_provider(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 9100,
) -> None:
    """Run the demo provider alone, for trying things out and for load tests."""
    from penstock.upstream.demo.server import run

    try:
        run(host, port)
    except OSError as failure:
        stop([str(failure)])


@operations.command()
def doctor(as_json: AsJson = False, data: Data = None, config: Config = None) -> None:
    """Check what the gateway needs and say what to do about what is missing. Fails if anything is."""
    import asyncio

    from penstock.doctor import Finding, examine
    from penstock.settings import SettingsError, load

    try:
        findings = asyncio.run(examine(load(data=data, config=config)))
    except SettingsError as wrong:
        findings = [Finding("settings", problem, "Correct it; docs/settings.md lists them all.") for problem in wrong.problems]
    if as_json:
        checks = [{"check": one.check, "well": one.well, "found": one.found, "remedy": one.remedy or None} for one in findings]
        show_json({"well": all(one.well for one in findings), "checks": checks})
    else:
        for one in findings:
            typer.echo(f"{'ok  ' if one.well else 'FAIL'}  {one.check:<12}  {one.found}{'' if one.well else f' -> {one.remedy}'}")
    if not all(one.well for one in findings):
        raise typer.Exit(REFUSED)


@operations.command()
def migrate(data: Data = None, config: Config = None) -> None:
    """Bring the database to this version's schema. `serve` does it as well."""
    from penstock.infra import schema

    async def run(database: Database) -> bool:
        return await schema.migrate(database)

    changed = with_database(data, config, run, migrated=False)
    typer.echo(f"the database is {'now' if changed else 'already'} at migration {schema.head()}", err=True)


@operations.command()
def version() -> None:
    """Print the version."""
    typer.echo(f"penstock {penstock.__version__}")
