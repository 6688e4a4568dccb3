"""What does nothing here, and what may not be passed over in silence."""

from __future__ import annotations

import pytest

from tests.config.loading import errors_of, notes_of

FILES = "files are served as they are, with a type that is guessed from the name"


@pytest.mark.parametrize(
    "line",
    [
        "AddHandler type-map var",
        "AddHandler Type-Map var tmap",
        "AddHandler send-as-is asis",
        "AddType text/html .shtml",
        "AddEncoding x-gzip .gz .tgz",
        "RemoveHandler .php",
        "RemoveType tr",
    ],
)
def test_files_are_served_as_they_are(line: str) -> None:
    """mod_mime and mod_negotiation: once for each directive."""
    assert notes_of(f"{line}\n{line}") == [f"f:1: {line.split()[0]} does nothing here: {FILES}"]


@pytest.mark.parametrize("word", ["FollowSymLinks", "+SymLinksIfOwnerMatch", "All", "None"])
def test_options_say_nothing_of_links(word: str) -> None:
    """Whoever counts on links, or on their being refused, must hear of it."""
    (note,) = notes_of(f"<Directory /srv>\nOptions {word}\n</Directory>")
    assert note == (
        "f:2: Options does nothing here: symbolic links are followed inside DocumentRoot and the"
        " folder of an Alias, and not out of it; folders are not listed, and nothing in them is run"
    )


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("AddHandler cgi-script .cgi", "cgi-script is not run here, and the source of such files"),
        ("AddHandler server-parsed .shtml", "server-parsed is not run here, and the source of"),
        ("AddHandler application/x-httpd-php .php", "application/x-httpd-php is not run here"),
        ("AddType application/x-httpd-php .php", "scripts are not run here, and their source"),
        ("AddOutputFilter INCLUDES .shtml", "INCLUDES is not run here, and what it would change"),
        ("SetOutputFilter DEFLATE;INCLUDES", "INCLUDES is not run here, and what it would change"),
    ],
)
def test_what_would_be_seen_instead(line: str, what: str) -> None:
    """Errors, and no note beside them: nobody may find the sources of scripts."""
    (error,) = errors_of(line)
    assert error.startswith(f"f:1: {line.split()[0]}: {what}")


@pytest.mark.parametrize(
    "line", ["SetOutputFilter DEFLATE", "AddOutputFilter deflate;DEFLATE html"]
)
def test_nothing_is_compressed(line: str) -> None:
    (note,) = notes_of(line)
    assert note.endswith("does nothing here: answers are sent as they are, and not compressed")


def test_pages_about_the_server() -> None:
    """Apache's handlers for them are noted once each; its own for files is none."""
    section = "<Location /x>\nSetHandler {}\n</Location>\n"
    names = ("ldap-status", "LDAP-Status", "server-info", "default-handler", "None")
    text = "".join(map(section.format, names))
    assert notes_of(text) == [
        "f:2: SetHandler: ldap-status does nothing here: there is no such page",
        "f:8: SetHandler: server-info does nothing here: there is no such page",
    ]
