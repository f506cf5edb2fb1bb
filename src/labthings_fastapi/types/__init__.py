"""Types for hints of properties, actions and members of models."""
