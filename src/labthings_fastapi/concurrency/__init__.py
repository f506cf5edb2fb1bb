"""Threads and event loops meet here; every other package is all-sync or all-async."""
