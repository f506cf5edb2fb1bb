"""Use Things of any server from Python as if the instruments were on the desk."""
