"""The front end: text to checked layer."""
