"""The web page of a server: its sources are in `web`, and what is built of them is in `bundle`."""
