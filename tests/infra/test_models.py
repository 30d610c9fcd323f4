"""The table of jobs."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import IntegrityError

from penstock.infra.database import Database
from penstock.infra.models import JobRow


async def _add(database: Database) -> None:
    async with database.session() as session:
        session.add(JobRow(name="sweep", due_at_ms=0, held_until_ms=0))


async def test_a_job_has_one_row(database: Database) -> None:
    await _add(database)
    with pytest.raises(IntegrityError):
        await _add(database)
