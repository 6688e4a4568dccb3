"""Documents, variables and headers."""

from __future__ import annotations

import re
from typing import Any

from scgiproxy.rules.environment import (
    Assignment,
    SetVariable,
    SetVariableIf,
)
from scgiproxy.rules.headers import HeaderAction, HeaderEdit
from scgiproxy.rules.mapping import Alias
from scgiproxy.rules.settings import (
    ErrorDocument,
    ErrorDocumentKind,
)
from tests.config.examples.base import (
    LOCATION,
    Example,
    last,
    server,
    setting,
)
from tests.config.loading import settings_of


def _set(name: bytes, value: bytes) -> SetVariable:
    return SetVariable(name, value)


def _if(attribute: bytes, pattern: bytes, name: bytes, value: bytes, flags: int = 0) -> Any:
    compiled = re.compile(pattern, re.DOTALL | flags)
    return SetVariableIf(attribute, compiled, (Assignment(name, value),))


def _error_page(code: int, text: bytes) -> dict[int, ErrorDocument]:
    return {code: ErrorDocument(ErrorDocumentKind.TEXT, text)}


EXAMPLES: dict[str, Example] = {
    "DocumentRoot": server(
        "document_root",
        "DocumentRoot {tmp}/",
        "{tmp}",
        "DocumentRoot {tmp}/nothing",
        "is not an existing directory",
        "DocumentRoot /",
        "/",
    ),
    "Alias": Example(
        "Alias /a {tmp}",
        (Alias(b"/a", "{tmp}"),),
        "Alias a {tmp}",
        "expected a path that begins with / first",
        "Alias /b {tmp}",
        (Alias(b"/b", "{tmp}"), Alias(b"/a", "{tmp}")),
        lambda c: last(c).aliases,
    ),
    "ErrorDocument": setting(
        "error_documents",
        'ErrorDocument 404 "not here"',
        _error_page(404, b"not here"),
        "ErrorDocument 999 x",
        "expected a status of HTTP from 400 to 511, got '999'",
        'ErrorDocument 500 "it broke"',
        {**_error_page(404, b"not here"), **_error_page(500, b"it broke")},
    ),
    "SetHandler": setting(
        "handler",
        "SetHandler scgi-demo",
        "scgi-demo",
        "SetHandler proxy:fcgi://h",
        "scheme 'fcgi' is not served here",
        "SetHandler None",
        None,
    ),
    "LimitRequestBody": setting(
        "limit_request_body",
        "LimitRequestBody 100",
        100,
        "LimitRequestBody 1k",
        "expected a number of 0 or more, got '1k'",
        "LimitRequestBody 0",
        0,
    ),
    "SpoolDirectory": Example(
        "SpoolDirectory {tmp}",
        "{tmp}",
        "SpoolDirectory {tmp}/users",
        "is not an existing directory",
        "SpoolDirectory /",
        "/",
        lambda c: c.spool_directory.path,
        inner="{}",
    ),
    "SpoolMaxTotal": Example(
        "SpoolMaxTotal 20g",
        20 << 30,
        "SpoolMaxTotal 20GB",
        "expected a number of bytes such as 4096, 512K, 100M or 4G, got '20GB'",
        "SpoolMaxTotal 0",
        0,
        lambda c: c.spool_max_total,
        inner="{}",
    ),
    "ProxySCGIInternalRedirect": setting(
        "internal_redirect",
        "ProxySCGIInternalRedirect X-Location",
        b"x-location",
        'ProxySCGIInternalRedirect "X Y"',
        "expected the name of a header, got 'X Y'",
        "ProxySCGIInternalRedirect Off",
        None,
    ),
    "ProxySCGISendfile": setting(
        "sendfile",
        "ProxySCGISendfile On",
        b"x-sendfile",
        "ProxySCGISendfile On Off",
        "takes one argument (On|Off|HEADER); 2 given",
        "ProxySCGISendfile X-Send-Static",
        b"x-send-static",
    ),
    "XSendFilePath": setting(
        "sendfile_roots",
        "XSendFilePath {tmp}",
        ("{tmp}",),
        "XSendFilePath files",
        "expected an absolute path, got 'files'",
        "XSendFilePath /",
        ("{tmp}", "/"),
    ),
    "SetEnv": setting(
        "set_env",
        'SetEnv A "b c"',
        (_set(b"A", b"b c"),),
        'SetEnv "" 5',
        "expected the name of a variable, got ''",
        "SetEnv B",
        (_set(b"A", b"b c"), _set(b"B", b"")),
    ),
    "PassEnv": setting(
        "set_env",
        "PassEnv HOME",
        (_set(b"HOME", b"/home/me"),),
        'PassEnv ""',
        "expected the name of a variable, got ''",
        "PassEnv LANG",
        (_set(b"HOME", b"/home/me"), _set(b"LANG", b"C")),
    ),
    "UnsetEnv": setting(
        "set_env",
        "SetEnv A 1\nSetEnv B 2\nUnsetEnv A",
        (_set(b"B", b"2"),),
        "UnsetEnv",
        "takes at least one argument (NAME ...); 0 given",
        "UnsetEnv B",
        (),
    ),
    "SetEnvIf": Example(
        "SetEnvIf Request_URI . proxy-scgi-pathinfo",
        ((_if(b"Request_URI", b".", b"proxy-scgi-pathinfo", b"1"),), ()),
        "SetEnvIf Request_URI ( A",
        "does not compile: missing ), unterminated subpattern at character 1",
        "SetEnvIf Host x A=b",
        (
            (_if(b"Request_URI", b".", b"proxy-scgi-pathinfo", b"1"),),
            (_if(b"Host", b"x", b"A", b"b"),),
        ),
        lambda c: (last(c).server.environment, settings_of(c).set_env_if),
        inner=LOCATION,
    ),
    "SetEnvIfNoCase": Example(
        "SetEnvIfNoCase Host x A",
        (_if(b"Host", b"x", b"A", b"1", re.IGNORECASE),),
        "SetEnvIfNoCase Host x",
        "takes at least three arguments",
        "SetEnvIfNoCase Host y B",
        (
            _if(b"Host", b"x", b"A", b"1", re.IGNORECASE),
            _if(b"Host", b"y", b"B", b"1", re.IGNORECASE),
        ),
        lambda c: last(c).server.environment,
    ),
    "BrowserMatch": Example(
        "BrowserMatch curl A",
        (_if(b"User-Agent", b"curl", b"A", b"1"),),
        "BrowserMatch curl",
        "takes at least two arguments",
        "BrowserMatch wget A=$0",
        (_if(b"User-Agent", b"curl", b"A", b"1"), _if(b"User-Agent", b"wget", b"A", b"$0")),
        lambda c: last(c).server.environment,
    ),
    "BrowserMatchNoCase": Example(
        "BrowserMatchNoCase curl A",
        (_if(b"User-Agent", b"curl", b"A", b"1", re.IGNORECASE),),
        "BrowserMatchNoCase curl =1",
        "no variable name in '=1'",
        "BrowserMatchNoCase wget !B",
        (
            _if(b"User-Agent", b"curl", b"A", b"1", re.IGNORECASE),
            SetVariableIf(
                b"User-Agent",
                re.compile(b"wget", re.DOTALL | re.IGNORECASE),
                (Assignment(b"B", None),),
            ),
        ),
        lambda c: last(c).server.environment,
    ),
    "Header": setting(
        "response_headers",
        'Header always set X-A "%{B}e" env=!C',
        (HeaderEdit(HeaderAction.SET, b"X-A", b"%{B}e", (b"C", False), True),),
        "Header edit X-A a b",
        "expected one of set, setifempty, append, add, merge, unset, got 'edit'",
        "Header unset X-B",
        (
            HeaderEdit(HeaderAction.SET, b"X-A", b"%{B}e", (b"C", False), True),
            HeaderEdit(HeaderAction.UNSET, b"X-B"),
        ),
    ),
    "RequestHeader": setting(
        "request_headers",
        "RequestHeader add X-A: b env=C",
        (HeaderEdit(HeaderAction.ADD, b"X-A", b"b", (b"C", True)),),
        "RequestHeader set X-A",
        "set needs a value",
        "RequestHeader merge X-B c",
        (
            HeaderEdit(HeaderAction.ADD, b"X-A", b"b", (b"C", True)),
            HeaderEdit(HeaderAction.MERGE, b"X-B", b"c"),
        ),
    ),
    "AddType": Example(
        "AddType text/x-a .a",
        1,
        "AddType application/x-httpd-php .php",
        "their source would be served",
        "AddType text/x-b .b",
        1,
        lambda c: len(c.notes),
    ),
}
