"""The command `labthings`: Things of any server from a shell."""
