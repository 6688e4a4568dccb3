"""Apache's configuration language: text to a frozen model. Knows neither web nor Twisted."""
