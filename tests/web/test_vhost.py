"""A virtual host: mapping, sections, variables, files and what goes before what."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from scgiproxy.message.backend_url import parse_backend_url
from scgiproxy.rules.environment import SetVariable, SetVariableIf, parse_assignment
from scgiproxy.rules.headers import HeaderAction, HeaderEdit
from scgiproxy.rules.mapping import Alias, Mount
from scgiproxy.rules.sections import SectionKind
from tests.web.harness import BackendEnd, Gateway, SectionValues

OK = b"Content-Length: 5\r\n\r\nhello"
A, B = "scgi://127.0.0.1:4001", "scgi://127.0.0.1:4002"


def set_if(attribute: str, pattern: str, *words: str) -> SetVariableIf:
    return SetVariableIf(
        attribute.encode(), re.compile(pattern.encode()), tuple(map(parse_assignment, words))
    )


def location(pattern: str, **values: Any) -> SectionValues:
    return SectionValues(SectionKind.LOCATION, pattern.encode(), values)


def served_by(gateway: Gateway, path: str) -> str | None:
    """The label of the pool that is asked, and its end is put away."""
    client = gateway.client().get(path)
    for pool in gateway.pools.values():
        if pool.ends:
            pool.ends.pop()
            return pool.name
    assert client.answers
    return None


def backend(gateway: Gateway) -> BackendEnd:
    (end,) = (pool.ends[-1] for pool in gateway.pools.values() if pool.ends)
    return end


# -- mapping -----------------------------------------------------------------------------------


def test_first_match_wins() -> None:
    gateway = Gateway([("/app/x", A + "/"), ("/app", B + "/"), ("/app/x/y", A + "/never")])
    assert served_by(gateway, "/app/x") == A + "/"
    assert served_by(gateway, "/app/x/y") == A + "/"
    assert served_by(gateway, "/app/z") == B + "/"
    assert served_by(gateway, "/apple") is None


def test_exclusion(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "file").write_text("a file")
    gateway = Gateway(
        [("/app/file", "!"), ("/app", A + "/")], server={"document_root": str(tmp_path)}
    )
    assert gateway.client().get("/app/file").answers[0].body == b"a file"
    assert served_by(gateway, "/app/other") == A + "/"


def test_mount_goes_before_alias_and_root(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("a file")
    gateway = Gateway(
        [("/app", A + "/")],
        aliases=[Alias(b"/app", str(tmp_path)), Alias(b"/files", str(tmp_path))],
        server={"document_root": str(tmp_path)},
    )
    assert served_by(gateway, "/app/x") == A + "/"
    assert gateway.client().get("/files/x").answers[0].body == b"a file"
    assert gateway.client().get("/x").answers[0].body == b"a file"
    assert gateway.client().get("/files../x").answers[0].status in (400, 404)


def test_mount_of_a_location_goes_before_the_table() -> None:
    mount = Mount(b"/app/inner", parse_backend_url(B + "/"))
    gateway = Gateway(
        [("/app", A + "/"), mount],
        sections=[location("/app/inner", proxy=mount)],
    )
    assert served_by(gateway, "/app/inner/x") == B + "/"
    assert served_by(gateway, "/app/x") == A + "/"


def test_no_proxy() -> None:
    gateway = Gateway(
        [("/", A + "/")],
        server={"environment": (set_if("Request_URI", "^/local", "no-proxy"),)},
    )
    assert gateway.client().get("/local").answers[0].status == 404
    assert served_by(gateway, "/other") == A + "/"


def test_no_proxy_of_a_section_is_too_late() -> None:
    gateway = Gateway(
        [("/", A + "/")],
        sections=[location("/", set_env_if=(set_if("Request_URI", ".", "no-proxy"),))],
    )
    assert served_by(gateway, "/x") == A + "/"


def test_nothing_serves_it() -> None:
    gateway = Gateway([("/app", A + "/")])
    answer = gateway.client().get("/x").answers[0]
    assert answer.status == 404
    assert b"/x" not in answer.body


def test_file_methods(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("a file")
    gateway = Gateway([("/app", A + "/")], server={"document_root": str(tmp_path)})
    client = gateway.client().send(b"DELETE /x HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.answers[0].status == 405
    client.send(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhello")
    assert client.answers[1].status == 405
    assert client.answers[1]["connection"] == "close"


@pytest.mark.parametrize(
    ("setting", "expected"), [("off", None), ("on", "/app/a/b"), ("nodecode", "/app/a%2Fb")]
)
def test_encoded_slashes(setting: str, expected: str | None) -> None:
    gateway = Gateway([("/app", A + "/")], server={"encoded_slashes": setting})
    client = gateway.client().get("/app/a%2Fb")
    if expected is None:
        assert client.answers[0].status == 404
    else:
        assert backend(gateway).variables["SCRIPT_NAME"] == expected


# -- SCRIPT_NAME and PATH_INFO -----------------------------------------------------------------

PATHS = [
    (("/pi/", A + "/"), "/pi/foo/bar", "/pi", "/foo/bar"),
    (("/pi/", A + "/"), "/pi/", "/pi", "/"),
    (("/pi/", A + "/"), "/pi/foo//bar", "/pi", "/foo/bar"),
    (("/pi/", A + "/"), "/pi/a+b;c=1,d@e!", "/pi", "/a+b;c=1,d@e!"),
    (("/pi/", A + "/"), "/pi/foo%20bar", "/pi", "/foo bar"),
    (("/pi/", A + "/"), "/pi/%C3%A9/x", "/pi", "/Ã©/x"),
    (("/pi", A), "/pi/x", "/pi", "/x"),
    (("/", A + "/"), "/x", "", "/x"),
]


@pytest.mark.parametrize("how", ["SetEnv", "SetEnvIf", "server SetEnvIf", "pathinfo=on"])
@pytest.mark.parametrize(("mount", "path", "script_name", "path_info"), PATHS)
def test_path_info(mount: Any, path: str, script_name: str, path_info: str, how: str) -> None:
    """However it is switched on, decoded, and split at the mount point."""
    variable = "proxy-scgi-pathinfo"
    rule = set_if("Request_URI", ".", variable)
    options: dict[str, Any] = {
        "SetEnv": {"set_env": (SetVariable(variable.encode(), b""),)},
        "SetEnvIf": {"set_env_if": (rule,)},
        "server SetEnvIf": {"server": {"environment": (rule,)}},
        "pathinfo=on": {"backend": {"path_info": True}},
    }[how]
    gateway = Gateway([mount], **options)
    gateway.client().get(path)
    seen = backend(gateway).variables
    assert (seen["SCRIPT_NAME"], seen["PATH_INFO"]) == (script_name, path_info)
    assert variable not in seen


@pytest.mark.parametrize(("mount", "path", "script_name", "path_info"), PATHS)
def test_no_path_info(mount: Any, path: str, script_name: str, path_info: str) -> None:
    gateway = Gateway([mount])
    gateway.client().get(path)
    seen = backend(gateway).variables
    assert "PATH_INFO" not in seen
    assert "PATH_TRANSLATED" not in seen
    assert seen["SCRIPT_NAME"] == script_name + path_info


def test_path_info_switched_off_by_the_backend() -> None:
    gateway = Gateway(
        backend={"path_info": False}, set_env=(SetVariable(b"proxy-scgi-pathinfo", b"1"),)
    )
    gateway.client().get("/x")
    assert "PATH_INFO" not in backend(gateway).variables


def test_path_translated(tmp_path: Path) -> None:
    gateway = Gateway(backend={"path_info": True}, server={"document_root": str(tmp_path)})
    gateway.client().get("/x")
    assert backend(gateway).variables["PATH_TRANSLATED"] == f"{tmp_path}/x"


# -- variables and headers ---------------------------------------------------------------------


def test_order_of_variables() -> None:
    """SetEnvIf of the server, of the sections, then SetEnv; each sees what was before."""
    gateway = Gateway(
        server={"environment": (set_if("X-A", "(.+)", "ONE=$1"),)},
        sections=[location("/", set_env_if=(set_if("ONE", "(.)$", "TWO=$1"),))],
        set_env=(SetVariable(b"ONE", b"over"), SetVariable(b"THREE", b"3")),
    )
    gateway.client().get("/", "X-A: abc")
    seen = backend(gateway).variables
    assert (seen["ONE"], seen["TWO"], seen["THREE"]) == ("over", "c", "3")


def test_variables_do_not_stay_for_the_next_request() -> None:
    gateway = Gateway(server={"environment": (set_if("X-A", "(.+)", "ONE=$1"),)})
    client = gateway.client().get("/", "X-A: abc")
    backend(gateway).answer(OK)
    client.get("/")
    assert "ONE" not in backend(gateway).variables


def test_request_headers_are_edited_for_the_backend_alone() -> None:
    gateway = Gateway(
        request_headers=(
            HeaderEdit(HeaderAction.SET, b"X-A", b"%{WHO}e"),
            HeaderEdit(HeaderAction.UNSET, b"Cookie"),
        ),
        set_env=(SetVariable(b"WHO", b"me"),),
    )
    gateway.client().get("/", "X-A: you", "Cookie: a=b")
    seen = backend(gateway).variables
    assert seen["HTTP_X_A"] == "me"
    assert "HTTP_COOKIE" not in seen


def test_forwarded_fields_are_added_if_it_is_said() -> None:
    gateway = Gateway(add_forwarded_headers=True)
    gateway.client().get("/", "X-Forwarded-For: 198.51.100.9")
    seen = backend(gateway).variables
    assert seen["HTTP_X_FORWARDED_FOR"] == "198.51.100.9, 192.0.2.7"
    assert seen["HTTP_X_FORWARDED_HOST"] == "example.com"
    assert seen["HTTP_X_FORWARDED_SERVER"] == "example.com"
    gateway = Gateway()
    gateway.client().get("/")
    assert "HTTP_X_FORWARDED_FOR" not in backend(gateway).variables


@pytest.mark.parametrize(
    "header",
    ["Proxy: x", "proxy: x", "X_Foo: x", "X.Foo: x", "Authorization: x", "Proxy-Authorization: x"],
)
def test_fields_that_make_no_variable(header: str) -> None:
    gateway = Gateway()
    gateway.client().get("/", header)
    seen = backend(gateway).variables
    assert {name for name in seen if name.startswith("HTTP_")} == {"HTTP_HOST"}


def test_sections_merge_for_a_path() -> None:
    gateway = Gateway(
        sections=[
            location("/", set_env=(SetVariable(b"A", b"outer"),)),
            location("/in", set_env=(SetVariable(b"A", b"inner"),)),
        ]
    )
    gateway.client().get("/x")
    assert backend(gateway).variables["A"] == "outer"
    gateway.client().get("/in/x")
    assert backend(gateway).variables["A"] == "inner"


def test_section_for_backends() -> None:
    gateway = Gateway(
        [("/", A + "/app/")],
        sections=[
            SectionValues(
                SectionKind.PROXY, A.encode() + b"/app", {"set_env": (SetVariable(b"A", b"1"),)}
            )
        ],
    )
    gateway.client().get("/x")
    assert backend(gateway).variables["A"] == "1"


def test_section_for_folders(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("a file")
    gateway = Gateway(
        [("/app", A + "/")],
        server={"document_root": str(tmp_path)},
        sections=[
            SectionValues(
                SectionKind.DIRECTORY,
                str(tmp_path).encode(),
                {"response_headers": (HeaderEdit(HeaderAction.SET, b"X-A", b"1"),)},
            )
        ],
    )
    assert gateway.client().get("/x").answers[0]["x-a"] == "1"


def test_limit_of_the_body_is_of_the_section() -> None:
    gateway = Gateway(sections=[location("/small", limit_request_body=5)])
    request = b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nhello!"
    assert gateway.client().send(request % b"/small").answers[0].status == 413
    gateway.client().send(request % b"/large")
    assert backend(gateway).body == b"hello!"


# -- rewriting ---------------------------------------------------------------------------------


def test_repr() -> None:
    assert repr(Gateway(server={"name": b"x"}).host) == "<VirtualHostResource b'x'>"


def test_fields_that_connection_names_stay_here() -> None:
    """Those of the client. What the operator sets cannot be named away."""
    edit = HeaderEdit(HeaderAction.SET, b"X-Mine", b"operator", None, False)
    gateway = Gateway(request_headers=(edit,))
    client = gateway.client()
    client.send(
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Hop, X-Mine\r\nX-Hop: 1\r\nX-Mine: client\r\n\r\n"
    )
    variables = gateway.backend.variables
    assert "HTTP_X_HOP" not in variables
    assert variables["HTTP_X_MINE"] == "operator"
