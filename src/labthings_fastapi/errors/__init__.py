"""The classes of errors, by what they are about; users find them all in `exceptions`."""
