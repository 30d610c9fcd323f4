"""Other people's APIs: wires, providers, bridges and the client that calls them. No database here."""
