"""More than one process: a parent that holds the sockets, and workers that serve."""
