"""Every fault of a backend at every point of an exchange, generated: `table` has both, and what comes
of each pair; it is played in memory before all kinds of backends, and on sockets."""
