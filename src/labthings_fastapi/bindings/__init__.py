"""Things in the protocols of the Web of Things."""
