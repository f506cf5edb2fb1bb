"""Who may do what: hosts, origins, credentials, roles. Pure rules; the door applies them."""
