"""Rules: what people and the operator have changed in requests, refused or sent elsewhere, by conditions on what was sent."""
