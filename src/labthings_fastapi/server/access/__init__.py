"""Who may do what at the server: the checks that every request passes."""
