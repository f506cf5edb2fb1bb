"""The lasting record of every run: the record, the port, and the journal in memory."""
