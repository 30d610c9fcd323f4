"""Imports: a whole set of channels brought in at once, all or none. A channel of the same name becomes what the set says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from penstock.accounts.identity import Identity
from penstock.channels.drafts import Draft, check_draft, check_secret, wrong
from penstock.channels.service import Channels, Whole, check_label
from penstock.channels.sets import Entry
from penstock.kit.errors import PenstockError


class Report(NamedTuple):
    """What an import has done, or would do: names of channels, and credentials that are to be added by hand."""

    created: list[str]
    changed: list[str]
    lacking: list[str]
    """`CHANNEL: LABEL` of each credential without a secret that is not there already."""


async def bring_in(channels: Channels, who: Identity, entries: Sequence[Entry], *, dry_run: bool = False) -> Report:
    """Bring a set in. Credentials are known by their labels; those that the set does not name stay.

    Raises PenstockError, having done nothing.
    """
    there = {whole.row.name: whole for whole in await channels.all()}
    report = Report([], [], [])
    for entry in entries:
        whole = there.get(entry.draft.name)
        _check(entry, whole)
        labels = _labels(whole)
        lacking = [given.label for given in entry.credentials if not given.secret and given.label not in labels]
        report.lacking.extend(f"{entry.draft.name}: {label or 'without a label'}" for label in lacking)
        (report.created if whole is None else report.changed).append(entry.draft.name)
    if not dry_run:
        async with channels.writing() as session:
            for entry in entries:
                await _bring(channels, session, who, entry, there.get(entry.draft.name))
    return report


async def _bring(channels: Channels, session: AsyncSession, who: Identity, entry: Entry, whole: Whole | None) -> None:
    labels = _labels(whole)
    fresh = [given for given in entry.credentials if given.secret and given.label not in labels]
    if whole is None:
        await channels.add(session, who, entry.draft, fresh)
        return
    channel_id = whole.row.id
    await channels.apply(session, who, channel_id, _changes(entry.draft))
    for given in fresh:
        await channels.give(session, who, channel_id, given)
    for given in entry.credentials:
        if given.label in labels:
            secret = {"secret": given.secret} if given.secret else {}
            await channels.renew(session, who, channel_id, labels[given.label], {"enabled": given.enabled, **secret})


def _labels(whole: Whole | None) -> dict[str, str]:
    """The ids of a channel's credentials, by label."""
    return {} if whole is None else {each.label: each.id for each in whole.credentials}


def _changes(draft: Draft) -> dict[str, object]:
    """What an entry says of a channel; a proxy and headers that it does not have stay, as exports leave them out."""
    found = {each.name: getattr(draft, each.name) for each in fields(Draft) if each.name not in ("name", "provider")}
    if draft.proxy is None:
        del found["proxy"]
    if not draft.headers:
        del found["headers"]
    return found


def _check(entry: Entry, whole: Whole | None) -> None:
    draft = entry.draft
    try:
        provider = check_draft(draft)
        if whole is not None and whole.row.provider != draft.provider:
            raise wrong(f"It exists with another provider, {whole.row.provider}. Delete it, or take another name.", "provider")
        labels = [given.label for given in entry.credentials]
        if len(set(labels)) != len(labels):
            raise wrong("Several credentials need labels that differ.", "credentials")
        for given in entry.credentials:
            check_label(given.label)
            if given.secret:
                check_secret(provider, given.secret)
    except PenstockError as refused:
        raise PenstockError(refused.code, f"Channel '{draft.name[:100]}': {refused.message}", param=refused.param) from None
