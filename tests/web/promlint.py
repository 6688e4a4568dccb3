"""What ``promtool check metrics`` finds fault with, for a parsed family."""

from __future__ import annotations

import re
from collections.abc import Iterator

from prometheus_client.core import Metric

_OTHER_UNITS = re.compile(
    r"(pico|nano|micro|milli|centi|deci|deca|hecto|kilo|kibi|mega|mebi|giga|gibi|tera|tebi|peta|pebi)"
    r"(seconds|bytes|meters|grams|volts|amperes)"
    r"|minutes|hours|days|weeks|bits|percent"
)
_ABBREVIATIONS = {"s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h", "d"}
_TYPES = {"counter", "gauge", "histogram", "summary"}
_NAME = re.compile(r"[a-z_][a-z0-9_]*")


def faults(family: Metric) -> list[str]:
    """A sentence for each."""
    name = family.name + ("_total" if family.type == "counter" else "")
    return [sentence for holds, sentence in (*_of_name(name, family), *_of_labels(family)) if holds]


def _of_name(name: str, family: Metric) -> Iterator[tuple[bool, str]]:
    words = set(name.split("_"))
    yield not _NAME.fullmatch(name), "names are in snake_case, without colons"
    yield not family.documentation, "no help text"
    yield family.type == "unknown", "no type"
    yield any(_OTHER_UNITS.fullmatch(word) for word in words), "not a base unit"
    yield bool(_ABBREVIATIONS & words), "an abbreviated unit"
    yield bool(_TYPES & words), "a type in the name"
    yield family.type != "counter" and name.endswith("_total"), "_total is for counters"
    if family.type != "histogram":
        yield bool(re.search(r"_(bucket|sum|count)$", name)), "a suffix of histograms"


def _of_labels(family: Metric) -> Iterator[tuple[bool, str]]:
    for sample in family.samples:
        if family.type == "counter":
            yield not sample.name.endswith("_total"), "a counter ends in _total"
        if family.type != "histogram":
            yield "le" in sample.labels, "le is a label of histograms"
        yield "quantile" in sample.labels, "quantile is a label of summaries"
        yield not all(map(_NAME.fullmatch, sample.labels)), "labels are in snake_case"
