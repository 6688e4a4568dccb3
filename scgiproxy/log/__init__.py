"""Logging: which way the package's events go, and the files that lines are appended to."""
