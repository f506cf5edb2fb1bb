"""What happened, said once to whoever listens: messages, the broker and their SSE form."""
