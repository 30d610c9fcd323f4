"""The control API of records: reading, exporting and clearing them, sharing one, sending one again."""
