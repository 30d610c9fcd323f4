"""The demo provider: a real provider inside the program, deterministic and free, for newcomers, tests and load tests."""
