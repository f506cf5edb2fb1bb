"""The files that invocations leave, over HTTP."""
