"""How Sphinx builds the documents: ``sphinx-build -W -b html docs docs/_build/html``."""

from __future__ import annotations

from importlib.metadata import version as installed_version

project = "scgiproxy"
copyright = "The scgiproxy authors"  # noqa: A001  the name is Sphinx's
version = release = installed_version("scgiproxy")

extensions = ["sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
# Docstrings have single backquotes around names of code; those that have a page become links.
default_role = "py:obj"
highlight_language = "none"
nitpicky = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
# Without it every base class of Twisted would bring its own members along.
autodoc_default_options = {"inherited-members": False}

html_theme = "furo"
html_title = f"scgiproxy {release}"
html_static_path = ["_static"]
html_css_files = ["scgiproxy.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b5f6e", "color-brand-content": "#0b5f6e"},
    "dark_css_variables": {"color-brand-primary": "#6fc3d0", "color-brand-content": "#6fc3d0"},
}
pygments_style = "tango"
pygments_dark_style = "github-dark"
