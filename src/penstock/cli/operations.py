"""The commands that run the gateway and look after its database."""
# ruff: noqa: PLC0415

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import penstock
from penstock.cli.frame import REFUSED, AsJson, Config, Data, in_words, settings_of, show_json, stop, table, with_database

if TYPE_CHECKING:
    from obstore.store import ObjectStore

    from penstock.infra.backup import Contents
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
        gc.disable()  # nothing of what is imported is garbage, and looking for some takes a tenth of the start
        from penstock.kit.ending import end_process
        from penstock.serving import serve as run

        gc.enable()
        end_process(run(settings))


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
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False)],
    records: Annotated[bool, typer.Option("--records", help="Put the bodies of records in it as well.")] = False,
    as_json: AsJson = False,
    data: Data = None,
    config: Config = None,
) -> None:
    """Write everything in the database to a new file, as it is at one moment, while the gateway goes on."""

    async def run(database: Database) -> Contents:
        from penstock.infra.backup import Objects, back_up

        store = _store(data, config)
        return await back_up(database, file, Objects(store, "record_segment", "path") if records else None)

    made = _told(lambda: with_database(data, config, run, migrated=False))
    _show(made, as_json=as_json)
    left_out = f"; {made.missing} files of records were not there" if made.missing else ""
    typer.echo(f"{file} has {sum(made.rows.values())} rows and {made.objects} files of records{left_out}", err=True)


@operations.command()
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False)],
    as_json: AsJson = False,
    data: Data = None,
    config: Config = None,
) -> None:
    """Fill an empty database with a backup, on SQLite or on PostgreSQL, wherever it was made."""

    async def run(database: Database) -> Contents:
        from penstock.infra import backup

        return await backup.restore(database, file, _store(data, config))

    restored = _told(lambda: with_database(data, config, run, migrated=False))
    _show(restored, as_json=as_json)
    origin = f"made by Penstock {restored.version} on {restored.engine} at {restored.made_at}"
    typer.echo(f"restored {sum(restored.rows.values())} rows and {restored.objects} files of records, {origin}", err=True)


@operations.command()
def version() -> None:
    """Print the version."""
    typer.echo(f"penstock {penstock.__version__}")


def _store(data: Path | None, config: Path | None) -> ObjectStore:
    from penstock.records.vault import open_store

    settings = settings_of(data=data, config=config)
    return open_store(settings.data, settings.records_url)


def _told(act: Callable[[], Contents]) -> Contents:
    """What `act` returns; what is wrong with a file or its place ends the program with a line."""
    from penstock.infra.archive import DamagedError
    from penstock.infra.backup import BackupError
    from penstock.infra.schema import NotEmptyError

    try:
        return act()
    except (BackupError, DamagedError, NotEmptyError) as refused:
        stop([str(refused)])


def _show(contents: Contents, *, as_json: bool) -> None:
    if as_json:
        from dataclasses import asdict

        show_json(asdict(contents))
    else:
        table([{"table": name, "rows": rows} for name, rows in sorted(contents.rows.items()) if rows], ("table", "rows"))
