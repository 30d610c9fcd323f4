"""URLs that people know from other systems, on our services: one file per system, without logic or tables of its own."""
