"""How Sphinx builds the documents: ``sphinx-build -W -b html docs docs/_build/html``."""

from __future__ import annotations

import re
from importlib.metadata import version as installed_version
from typing import Any

project = "scgiproxy"
copyright = "The scgiproxy authors"  # noqa: A001  the name is Sphinx's
version = release = installed_version("scgiproxy")

extensions = ["sphinx.ext.autodoc", "myst_parser"]
myst_enable_extensions = ["deflist"]
exclude_patterns = ["_build"]
# Docstrings have single backquotes around names of code; those that have a page become links.
default_role = "py:obj"
highlight_language = "none"
nitpicky = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
# Without it every base class of Twisted would bring its own members along.
autodoc_default_options = {"inherited-members": False}

html_theme = "furo"
html_title = f"scgiproxy {release}"
html_static_path = ["_static"]
html_css_files = ["scgiproxy.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    f"{shade}_css_variables": {
        "color-brand-primary": color,
        "color-brand-content": color,
        "color-api-name": color,
        "color-api-pre-name": "var(--color-foreground-secondary)",
    }
    for shade, color in (("light", "#0b5f6e"), ("dark", "#6fc3d0"))
}
pygments_style = "tango"
pygments_dark_style = "github-dark"

_INTERFACE = re.compile(r"<InterfaceClass (?:\w+\.)*(\w+)>")


def _name_interfaces(*event: Any) -> tuple[str | None, str | None]:
    """Write interfaces of zope.interface in signatures by their name, not by their repr."""
    signature, returned = (
        text if text is None else _INTERFACE.sub(r"\1", text) for text in event[-2:]
    )
    return signature, returned


def setup(app: Any) -> None:
    app.connect("autodoc-process-signature", _name_interfaces)
