"""What the domains stand on: the database, its migrations, and files that are private."""
