"""Rules for hosts, origins, credentials and roles; the server's access middleware applies them."""
