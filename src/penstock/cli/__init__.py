"""The command line: `penstock serve`, keys, and what an operator needs. Described in docs/cli.md; a test insists.

Everything heavy is imported where it is used, so that every command starts quickly: a module of commands imports at its
top nothing but typer, `penstock.cli.frame` and the kit. What a command makes and shows once goes to stdout alone:
`K=$(penstock key create me)` works.
"""

from __future__ import annotations

import typer

from penstock.cli import accounts, books, channels, keys, money, operations, prices, records, rules

cli = typer.Typer(
    name="penstock",
    help="A self-hosted gateway for language-model APIs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
cli.add_typer(operations.operations)
cli.add_typer(keys.key, name="key")
cli.add_typer(channels.channel, name="channel")
cli.add_typer(rules.rule, name="rule")
cli.add_typer(accounts.account, name="account")
cli.add_typer(prices.price, name="price")
cli.add_typer(records.record, name="record")
cli.add_typer(money.money)
cli.add_typer(books.books)
cli.add_typer(money.code, name="code")


def main() -> None:
    """The program `penstock`."""
    cli()
