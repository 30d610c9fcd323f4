"""Bodies: the records of entries, a group at a time, whatever has become of their segments."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from penstock.kit.errors import PenstockError
from penstock.records.browse import Browser, Located
from penstock.records.record import Record
from penstock.records.segments import records_of
from penstock.records.vault import STORE_FAILURES, Vault

KEPT_BYTES = 8 * 1024 * 1024
"""Of groups that were read, so much is kept for the next record, or one group: the lists of several workers are read in turns."""
GONE = "It was deleted in the meantime."
_log = logging.getLogger("penstock.records")


class Read(NamedTuple):
    """A record; None: it cannot be read, and why."""

    record: Record | None
    missing: str


class Bodies:
    """Reads records, of one shelf, for one who reads one after the other. `expanded_bytes`: how much was expanded for that."""

    def __init__(self, vault: Vault, browser: Browser, shelf: str) -> None:
        self.expanded_bytes = 0
        self._vault = vault
        self._browser = browser
        self._shelf = shelf
        self._groups: OrderedDict[tuple[str, int], tuple[int, Sequence[Record]]] = OrderedDict()
        self._kept_bytes = 0

    async def read(self, located: Located) -> Read:
        """The record of an entry. Should its segment be gone, it is looked for once more: segments are rewritten."""
        found = await self._read(located)
        if found.record is None:
            again = await self._browser.find(self._shelf, located.id)
            if again is None:
                return Read(None, GONE)
            if again.segment.id != located.segment.id:
                return await self._read(again)
        return found

    async def _read(self, located: Located) -> Read:
        place = located.entry.place
        try:
            records = await self._group(located, place.group)
            record = records[place.position]
        except FileNotFoundError:
            return Read(None, "The segment that it was in is missing.")
        except STORE_FAILURES as failure:  # what it says names folders and servers, and whoever has a link is told
            _log.warning("a segment of records cannot be read: %s", str(failure)[:300])
            return Read(None, "The segment that it is in cannot be read: the store failed.")
        except (ValueError, IndexError, PenstockError) as failure:
            return Read(None, f"The segment that it is in cannot be read: {str(failure)[:200]}.")
        return Read(record, "") if record.id == located.id else Read(None, "Another record is in its place.")

    async def _group(self, located: Located, number: int) -> Sequence[Record]:
        key = (located.segment.id, number)
        known = self._groups.get(key)
        if known is None:
            data = await self._vault.group(located.segment, number)
            known = self._groups[key] = (len(data), records_of(data))
            self.expanded_bytes += len(data)
            self._kept_bytes += len(data)
            while self._kept_bytes > KEPT_BYTES and len(self._groups) > 1:
                self._kept_bytes -= self._groups.popitem(last=False)[1][0]
        else:
            self._groups.move_to_end(key)
        return known[1]
