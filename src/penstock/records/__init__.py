"""Records: the raw request and response of an exchange, kept for whoever asked for it."""
