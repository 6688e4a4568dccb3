"""Numbers as the gateway's own pages show them: short, with units, and all of one kind alike."""

from __future__ import annotations

NOTHING = "\N{EN DASH}"
"""Where there is no number."""


def count(number: int) -> str:
    """How many, in groups of three digits."""
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def rate(a_second: float) -> str:
    """How often in a second."""
    return f"{a_second:.3g}" if a_second < 100 else count(round(a_second))


def size(number: float) -> str:
    """Bytes."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.3g} {unit}" if number < 1000 else f"{number:.0f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"


def duration(seconds: float | None) -> str:
    """How long something took; None: nothing did."""
    if seconds is None:
        return NOTHING
    if seconds < 0.01:
        return f"{seconds * 1000:.2g} ms"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def span(seconds: float) -> str:
    """A length of time in one unit: ``12 s``, ``5 min``, ``3 h``, ``2 days``."""
    for unit, length in (("s", 1), ("min", 60), ("h", 3600)):
        if seconds < 120 * length:
            return f"{max(seconds, 0) / length:.0f} {unit}"
    return f"{seconds / 86400:.0f} days"
