"""Which backend serves a request. Knows no HTTP."""
