"""What all commands share: their options, a database to act on, failures in words, and tables."""
# ruff: noqa: PLC0415

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

from penstock.kit.clock import now_ms, parse_moment_ms, parse_span_s
from penstock.kit.errors import PenstockError

if TYPE_CHECKING:
    from penstock.infra.database import Database
    from penstock.settings import Settings

T = TypeVar("T")
REFUSED = 1
MISCONFIGURED = 2

Data = Annotated[Path | None, typer.Option(help="Folder of the database and the records.")]
Config = Annotated[Path | None, typer.Option(help="TOML file with settings.")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]


def settings_of(**given: Any) -> Settings:
    """The settings with what the command line gives; ends the program when they cannot be used."""
    from penstock.settings import SettingsError, load

    try:
        return load(**given)
    except SettingsError as wrong:
        stop(wrong.problems, MISCONFIGURED)


def with_database(data: Path | None, config: Path | None, act: Callable[[Database], Awaitable[T]], *, migrated: bool = True) -> T:
    """What `act` returns when it is given the database of the settings, brought to this version's schema unless told otherwise.

    What goes wrong on purpose ends the program with a line.
    """
    import asyncio

    from penstock.infra import schema
    from penstock.infra.database import Database

    settings = settings_of(data=data, config=config)

    async def run() -> T:
        database = Database(settings.database_url, settings.durability)
        try:
            if migrated:
                await schema.migrate(database)
            return await act(database)
        finally:
            await database.close()

    with in_words():
        return asyncio.run(run())


@contextmanager
def in_words() -> Iterator[None]:
    """What goes wrong on purpose, as a line and an exit status instead of a traceback."""
    from penstock.infra.database import DatabaseAway
    from penstock.infra.schema import NewerDatabaseError
    from penstock.settings import SettingsError

    try:
        yield
    except SettingsError as wrong:
        stop(wrong.problems, MISCONFIGURED)
    except PenstockError as refused:
        stop([refused.message], REFUSED)
    except DatabaseAway as away:
        stop([f"the database cannot be reached: {away}"], REFUSED)
    except (NewerDatabaseError, OSError) as failure:
        stop([str(failure)], REFUSED)


def stop(problems: Sequence[str], status: int = REFUSED) -> NoReturn:
    """Say what is wrong, a line each, and end the program."""
    for problem in problems:
        typer.echo(f"penstock: {problem}", err=True)
    raise typer.Exit(status)


def moment_ms(text: str | None) -> int | None:
    """An option such as `30d`, `2026-12-31` or ISO 8601 as a moment, None when it is not given."""
    try:
        return None if text is None else parse_moment_ms(text, now_ms())
    except ValueError as wrong:
        raise typer.BadParameter(str(wrong)) from None


def span_s(text: str) -> int:
    """An option such as `24h` as seconds."""
    try:
        return parse_span_s(text)
    except ValueError as wrong:
        raise typer.BadParameter(str(wrong)) from None


def show_json(value: Any) -> None:
    """Print a value for programs."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print rows for people: the columns named, in this order, numbers to the right; None is a dash."""
    lines = [[column.removesuffix("_at").upper() for column in columns], *([_cell(row[column]) for column in columns] for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    numeric = [bool(rows) and all(type(row[column]) is int for row in rows) for column in columns]
    for line in lines:
        cells = (cell.rjust(width) if right else cell.ljust(width) for cell, width, right in zip(line, widths, numeric, strict=True))
        typer.echo("  ".join(cells).rstrip())


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "-" if value is None else str(value)
