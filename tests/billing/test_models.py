"""The table of charges has the fields of a charge, in order."""

from __future__ import annotations

import msgspec

from penstock.billing.charge import COLUMNS, WIDTH, Charge
from penstock.billing.models import ChargeRow


def test_columns_are_the_fields_of_a_charge_in_order():
    *names, last = [column.name for column in ChargeRow.__table__.columns]
    assert (tuple(names), last) == (COLUMNS, "number")


def test_columns_have_the_types_of_the_fields():
    kinds = {"TEXT": str, "BIGINT": int, "INTEGER": int, "BOOLEAN": bool}
    columns = {column.name: (kinds[str(column.type)], column.nullable) for column in ChargeRow.__table__.columns}
    stored = msgspec.structs.fields(Charge)[:WIDTH]
    fields = {field.name: (str, True) if field.type == str | None else (field.type, False) for field in stored}
    assert columns == {**fields, "number": (int, False)}
