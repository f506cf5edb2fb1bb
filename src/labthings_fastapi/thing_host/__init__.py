"""What a Thing can use of its server: services, settings, the global lock."""
