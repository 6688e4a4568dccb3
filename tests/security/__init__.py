"""Which attack is shown where to lead nowhere (`rows`), and tests of what has no other place."""
