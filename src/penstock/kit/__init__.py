"""Pure pieces without domain, input or output: the lowest floor."""
