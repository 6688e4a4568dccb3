"""The layer that knows twisted.web: channel, request, site, mounts, exchange, files."""
