"""The house: wires Things, runs and bindings into one server."""
