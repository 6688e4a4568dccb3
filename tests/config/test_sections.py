"""What a section's line may say, and where one may stand."""

from __future__ import annotations

import re

import pytest

from tests.config.loading import errors_of, load, notes_of


@pytest.mark.parametrize(
    ("line", "matching", "other"),
    [
        ("Files *.html", b"a.html", b"a.htm"),
        ('Files ~ "\\.html?$"', b"a.htm", b"a.html.bak"),
        ('FilesMatch "^(\\.ht|core$)"', b".htaccess", b"a.ht"),
        ("Files [!a]?", b"ba", b"ab"),
    ],
)
def test_files(line: str, matching: bytes, other: bytes) -> None:
    """Names with wildcards match as a whole, expressions anywhere."""
    name = line.split()[0]
    (section,) = load(f"<{line}>\nSetEnv A 1\n</{name}>").main.sections
    assert isinstance(section.pattern, re.Pattern)
    assert section.pattern.search(matching)
    assert not section.pattern.search(other)
    assert section.within is None


def test_files_in_a_directory() -> None:
    """They know which; in a virtual host they come after the main server's."""
    config = load(
        """
        <VirtualHost *>
            <DirectoryMatch ^/b>
                <Files c>
                    SetEnv C 1
                </Files>
            </DirectoryMatch>
        </VirtualHost>
        <Directory /a/>
            <Files b>
                SetEnv B 1
            </Files>
        </Directory>
        """
    )
    first, _, second, _ = config.virtual_hosts[0].sections
    assert (first.pattern, first.within) == (b"b", b"/a")
    assert second.pattern == b"c"
    assert isinstance(second.within, re.Pattern)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "<Location /a>\n<Files b>\n</Files>\n</Location>",
            "f:2: <Files>: not allowed in <Location>; expected in server config, <VirtualHost>, <Di",
        ),
        (
            "<Files a>\n<Files b>\n</Files>\n</Files>",
            "f:2: <Files>: not allowed in <Files>; expected in",
        ),
        (
            "<Files>\n</Files>",
            "f:1: <Files>: takes 1 or 2 arguments (NAME | ~ EXPRESSION); 0 given",
        ),
        (
            "<Files a>\nSetHandler proxy:scgi://h\n</Files>",
            "f:2: SetHandler: proxy:URL has no meaning here; expected it in a <Location>",
        ),
        (
            "<Files a>\nProxyPass scgi://h\n</Files>",
            "f:2: ProxyPass: not allowed in <Files>; expected in",
        ),
        (
            "<Files a>\nRequire valid-user\n</Files>",
            "f:1: <Files>: Require of a user needs AuthType and AuthName and AuthUserFile",
        ),
    ],
)
def test_wrong_files(text: str, message: str) -> None:
    (error,) = errors_of(text)
    assert error.startswith(message)


def test_a_name_that_no_file_has() -> None:
    assert notes_of("<Files a/b>\n</Files>") == [
        "f:1: <Files>: no name has a / in it, so it matches no file"
    ]
