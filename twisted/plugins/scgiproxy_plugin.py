"""twistd plugin."""
