"""The lasting record of every invocation and mutation: the port, in memory and in SQLite."""
