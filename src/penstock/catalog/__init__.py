"""The catalog: what models cost."""
