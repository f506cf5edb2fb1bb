"""Reading, writing and invoking, the same for every protocol."""
