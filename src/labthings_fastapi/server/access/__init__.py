"""The checks of every request: host, origin, size, authentication, role; and the audit."""
