"""From a configuration file to Things that are made and connected."""
