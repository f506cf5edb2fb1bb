"""What a Thing may ask of the house it lives in."""
