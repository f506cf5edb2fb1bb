"""From a configuration to Things that know each other."""
