"""The command for the books: `penstock audit` proves them."""
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from penstock.cli.frame import REFUSED, AsJson, Config, Data, settings_of, show_json, table, with_database
from penstock.kit.money import dollars

if TYPE_CHECKING:
    from penstock.billing.audit import Report
    from penstock.infra.database import Database

books = typer.Typer()


@books.command()
def audit(as_json: AsJson = False, data: Data = None, config: Config = None) -> None:
    """Compute every balance again from its entries and every charge from its usage and price. Fails if anything differs."""
    settings = settings_of(data=data, config=config)

    async def look(database: Database) -> Report:
        from penstock.billing.audit import audit as run
        from penstock.catalog.door import Catalog
        from penstock.infra.revisions import Feed

        return await run(database, Catalog(settings, database, Feed(database)))

    report = with_database(data, config, look)
    if as_json:
        import msgspec

        show_json({"well": report.well, **msgspec.to_builtins(report)})
    else:
        _say(report)
    if not report.well:
        raise typer.Exit(REFUSED)


def _say(report: Report) -> None:
    counts = {name: getattr(report, name) for name in ("accounts", "purses", "entries", "leases", "charges")}
    typer.echo(", ".join(f"{count:,} {name}" for name, count in counts.items()))
    if report.unproven:
        typer.echo(f"{report.unproven:,} charges of accounts that pay nothing have a price that is not known any more")
    if report.unswept:
        typer.echo(f"{len(report.unswept)} leases are of workers that are gone; what is not spent of them returns when a gateway runs")
    if report.negative:
        typer.echo("")
        table([{"purse": purse, "balance": dollars(balance)} for purse, balance in report.negative.items()], ("purse", "balance"))
    if report.well:
        typer.echo("nothing differs")
        return
    typer.echo(f"\n{report.difference_count:,} differences, in nano-dollars (in requests, for the index and the sums of those)\n")
    rows = [
        {"what": one.what, "id": one.id, "expected": one.expected, "found": one.found, "meaning": one.text} for one in report.differences
    ]
    table(rows, ("what", "id", "expected", "found", "meaning"))
    if report.difference_count > len(rows):
        typer.echo(f"... and {report.difference_count - len(rows):,} more")
