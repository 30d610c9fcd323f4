"""What is done to records is in the audit trail; what was searched for is not."""

from __future__ import annotations

from made_records import made
from penstock.accounts.identity import CLI
from penstock.accounts.trail import Trail
from penstock.records.noted import Noted
from penstock.records.service import Filters, Policy


async def test_clearing_is_noted(database, records, recorder):
    recorder.put(made(request_body=b'{"a":"private"}'))
    noted = Noted(database, records)
    assert await noted.clear(CLI, "acc_operator", Filters(text="private", status="2xx")) == 1, "what was recorded a moment ago too"
    [event] = (await Trail(database).list()).data
    assert (event.action, event.subject) == ("record.clear", "acc_operator")
    assert event.detail == {"shelf": "acc_operator", "count": 1, "status": "2xx"}


async def test_a_policy_is_noted_without_what_it_covers(database, records):
    changed = await Noted(database, records).set_policy(CLI, "acc_operator", Policy(record=True, redact_patterns=("secret",)))
    assert changed.record and changed.updated_at_ms
    [event] = (await Trail(database).list()).data
    assert event.detail == {"record": True, "retention_days": None, "redact_paths": 0, "redact_patterns": 1}
