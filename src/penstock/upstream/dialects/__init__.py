"""Dialects: how each family of protocols writes its errors and keeps a silent stream alive."""
