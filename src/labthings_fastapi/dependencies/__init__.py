"""FastAPI dependencies for the code of Things."""
