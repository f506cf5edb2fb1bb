"""Values that are not JSON: images, files, streams."""
