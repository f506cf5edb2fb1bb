"""The one place where event loops and threads meet; every other room is all-sync or all-async."""
