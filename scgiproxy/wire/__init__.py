"""Twisted protocols over the codec: client, dialer, body sources, agent, server."""
