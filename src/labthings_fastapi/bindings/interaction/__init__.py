"""What clients do with a Thing, whatever the protocol: read, write, invoke."""
