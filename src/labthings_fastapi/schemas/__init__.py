"""From Python types and signatures to pydantic models, JSON and W3C data schemas."""
