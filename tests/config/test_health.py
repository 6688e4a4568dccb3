"""The hc parameters, ProxyHCExpr, ProxyHCTemplate and ProxyHCTPsize."""

from __future__ import annotations

from typing import Any

import pytest

from scgiproxy.config.health import READERS
from scgiproxy.rules.health import CheckAnswer, CheckMethod, HealthCheck
from tests.config.loading import errors_of, load, notes_of

MOUNT = "ProxyPass / balancer://b/\n"
OK = "ProxyHCExpr ok {%{REQUEST_STATUS} =~ /^[234]/}\n"


def member(parameters: str, before: str = "") -> str:
    return f"{before}{MOUNT}BalancerMember balancer://b scgi://localhost {parameters}"


def check(parameters: str, before: str = "") -> HealthCheck | None:
    """What the member of a configuration without notes is checked by."""
    config = load(member(parameters, before))
    assert config.notes == ()
    return config.balancers["b"].members[0].settings.health


def good(check: HealthCheck | None, status: int, body: bytes = b"", **headers: bytes) -> bool:
    assert check is not None
    fields = [(name.encode(), value) for name, value in headers.items()]
    return not check.complaint(CheckAnswer(status, fields, body))


# -- parameters --------------------------------------------------------------------------------


def test_without_a_method_there_is_no_check() -> None:
    assert check("") is None
    assert check("hcmethod=None hcinterval=5") is None


def test_defaults() -> None:
    assert check("hcmethod=GET") == HealthCheck(CheckMethod.GET, 30.0, 1, 1, b"", None)


@pytest.mark.parametrize("method", list(CheckMethod)[1:])
def test_methods_in_any_case(method: CheckMethod) -> None:
    assert check(f"HCMethod={method.value.lower()}") == HealthCheck(method)


@pytest.mark.parametrize(
    ("word", "field", "value"),
    [
        ("hcinterval=5", "interval", 5.0),
        ("hcinterval=100ms", "interval", 0.1),
        ("hcinterval=2min", "interval", 120.0),
        ("hcpasses=3", "passes", 3),
        ("hcpasses=0", "passes", 0),
        ("hcfails=2", "fails", 2),
        ("hcuri=/health?full=1&x=%20", "uri", b"/health?full=1&x=%20"),
        ("hcuri=health", "uri", b"health"),
    ],
)
def test_values(word: str, field: str, value: Any) -> None:
    found = check(f"hcmethod=GET {word}")
    assert getattr(found, field) == value
    assert getattr(HealthCheck(), field) != value


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("hcmethod=PUT", "expected one of NONE, TCP, OPTIONS, HEAD, GET, OPTIONS11, HEAD11, GET11"),
        ("hcmethod=CPING", "got 'CPING' (it is a method of AJP)"),
        ("hcmethod=HAED", "got 'HAED'; did you mean HEAD?"),
        ("hcinterval=99ms", "expected a time of 100ms or more, got '99ms'"),
        ("hcinterval=0", "expected a time of 100ms or more, got '0'"),
        ("hcinterval=soon", "expected a time such as"),
        ("hcpasses=-1", "expected a number of 0 or more, got '-1'"),
        ("hcfails=x", "expected a number of 0 or more, got 'x'"),
        ("hcuri=/a#b", "expected a path as it stands in a URL"),
        ("hcuri=/%00", "expected a path as it stands in a URL"),
        ("hcuri=/%2", "expected a path as it stands in a URL"),
        ("hcuri=/é", "expected a path as it stands in a URL"),
        (f"hcuri=/{'x' * 1000}", "expected at most 1000 characters, got 1001"),
        ("hcexpr=ok", "expected the name of a ProxyHCExpr before this line, got 'ok'"),
        ("hctemplate=tcp5", "expected the name of a ProxyHCTemplate before this line"),
    ],
)
def test_wrong_values(word: str, expected: str) -> None:
    (error,) = errors_of(member(f"hcmethod=GET {word}"))
    assert error.startswith(f"f:2: BalancerMember: {word.partition('=')[0]}: ")
    assert expected in error


def test_every_parameter_is_read() -> None:
    assert set(READERS) == {
        f"hc{name}" for name in ("method", "interval", "passes", "fails", "uri", "expr", "template")
    }


def test_later_lines_count() -> None:
    """A ProxySet changes what it says, and leaves the rest."""
    text = member("hcmethod=GET hcinterval=5 hcuri=/a")
    config = load(f"{text}\nProxySet scgi://localhost hcinterval=7")
    assert config.balancers["b"].members[0].settings.health == HealthCheck(
        CheckMethod.GET, 7.0, uri=b"/a"
    )


@pytest.mark.parametrize(
    ("parameters", "note"),
    [
        ("hcinterval=5", "hcinterval does nothing without hcmethod: there is no check"),
        ("hcuri=/ hcexpr=ok", "hcuri, hcexpr do nothing without hcmethod: there is no check"),
        ("hcmethod=tcp hcuri=/x hcfails=2", "hcuri does nothing with hcmethod=TCP"),
        ("hcmethod=tcp hcexpr=ok", "hcexpr does nothing with hcmethod=TCP: there is no answer"),
    ],
)
def test_what_does_nothing_is_told(parameters: str, note: str) -> None:
    (found,) = notes_of(member(parameters, OK))
    assert found.startswith("f:3: ")
    assert note in found


@pytest.mark.parametrize("word", ["hcmethod=GET", "hcinterval=5"])
def test_a_backend_that_stands_alone_is_not_checked(word: str) -> None:
    name = word.partition("=")[0]
    assert f"f:1: ProxyPass: {name} does nothing outside a BalancerMember" in notes_of(
        f"ProxyPass / scgi://localhost/ {word}"
    )


# -- ProxyHCExpr -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    [
        "{%{REQUEST_STATUS} =~ /^[234]/}",
        "{  %{REQUEST_STATUS} =~ /^[234]/  }",
        '"%{REQUEST_STATUS} =~ /^[234]/"',
        "'%{REQUEST_STATUS} =~ /^[234]/'",
        "{%{REQUEST_STATUS} =~ /^[234][0-9]{2}$/}",
        r"{%{REQUEST_STATUS} =~ /^[234]\d\\d/}",
    ],
)
def test_a_condition(written: str) -> None:
    """Every way to quote it."""
    found = check("hcmethod=GET hcexpr=ok", f"ProxyHCExpr ok {written}\n")
    assert [good(found, status) for status in (200, 302, 404, 503)] == [True, True, True, False]


def test_conditions_of_the_body() -> None:
    """That of Apache's manual; names are known in any case."""
    found = check(
        "hcmethod=GET hcexpr=IN_MAINT", "ProxyHCExpr in_maint {hc('body') !~ /Under maintenance/}\n"
    )
    assert good(found, 500, b"all is well")
    assert not good(found, 200, b"<h1>Under maintenance</h1>")


def test_conditions_of_a_header() -> None:
    found = check("hcmethod=HEAD hcexpr=x", "ProxyHCExpr x \"resp('X-Ready') == 'yes'\"\n")
    assert good(found, 200, **{"x-ready": b"yes"})
    assert not good(found, 200)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", "takes one argument (NAME EXPRESSION); 0 given"),
        ("ok", "expected an expression, as in {%{REQUEST_STATUS} =~ /^[23]/}"),
        ("ok {}", "expected an expression"),
        ("ok {%{REQUEST_STATUS} == 200", "expected a closing brace at the end"),
        ("ok {true} x", "expected nothing after the closing brace, got 'x'"),
        ("ok %{REQUEST_STATUS} =~ /^2/", "expected the expression in braces or quotes"),
        (
            "ok {%{REQUEST_STATUSES} == 200}",
            "unknown variable REQUEST_STATUSES; expected HC_BODY or REQUEST_STATUS",
        ),
        ("ok {hx('body') == 'x'}", "unknown function hx; expected hc, resp, tolower or toupper"),
        ("ok {hc('body') =~ /(/}", "does not compile"),
    ],
)
def test_wrong_conditions(words: str, expected: str) -> None:
    """They are told, and not again where they are used."""
    (error,) = errors_of(f"ProxyHCExpr {words}\n{member('hcmethod=GET hcexpr=ok')}")
    assert error.startswith("f:1: ProxyHCExpr: ")
    assert expected in error


def test_a_second_condition_of_a_name() -> None:
    """Each counts for the lines after it."""
    text = (
        "ProxyHCExpr x {%{REQUEST_STATUS} == 200}\n"
        f"{member('hcmethod=GET hcexpr=x')}\n"
        "ProxyHCExpr X {%{REQUEST_STATUS} == 404}\n"
        "BalancerMember balancer://b scgi://other.localhost hcmethod=GET hcexpr=x"
    )
    assert notes_of(text) == [
        "f:4: ProxyHCExpr: there is a X already; from here on this one counts"
    ]
    first, second = (one.settings.health for one in load(text).balancers["b"].members)
    assert (good(first, 200), good(second, 200)) == (True, False)


# -- ProxyHCTemplate ---------------------------------------------------------------------------


def test_a_template() -> None:
    """It is TCP unless it says something else; what follows it changes it, what is before it not."""
    template = "ProxyHCTemplate tcp5 hcinterval=5 hcfails=3\n"
    assert check("hctemplate=TCP5", template) == HealthCheck(CheckMethod.TCP, 5.0, fails=3)
    assert check("hctemplate=tcp5 hcmethod=GET hcfails=1", template) == HealthCheck(
        CheckMethod.GET, 5.0
    )
    assert check("hcmethod=GET hcpasses=4 hctemplate=tcp5", template) == HealthCheck(
        CheckMethod.TCP, 5.0, fails=3
    )


def test_a_template_of_a_template() -> None:
    before = OK + (
        "ProxyHCTemplate get hcmethod=GET hcuri=/h hcexpr=ok\n"
        "ProxyHCTemplate slow hctemplate=get hcinterval=1min\n"
    )
    found = check("hctemplate=slow", before)
    assert found is not None
    assert (found.method, found.interval, found.uri) == (CheckMethod.GET, 60.0, b"/h")
    assert good(found, 404)


def test_wrong_templates() -> None:
    """Every error at once, and none where it is used."""
    text = "ProxyHCTemplate t hcmethod=PUT hcintervall=5 retry=5 hcuri hcfails=x\n"
    known = "hcmethod, hcinterval, hcpasses, hcfails, hcuri, hcexpr, hctemplate"
    errors = errors_of(text + member("hctemplate=t"))
    expected = f"f:1: ProxyHCTemplate: expected key=value of {known}, got"
    assert errors[0].startswith("f:1: ProxyHCTemplate: hcmethod: expected one of NONE")
    assert errors[1] == f"{expected} 'hcintervall=5'; did you mean hcinterval?"
    assert errors[2] == f"{expected} 'retry=5'"
    assert errors[3] == f"{expected} 'hcuri'"
    assert errors[4] == "f:1: ProxyHCTemplate: hcfails: expected a number of 0 or more, got 'x'"
    assert len(errors) == 5


def test_a_template_without_a_name() -> None:
    (error,) = errors_of("ProxyHCTemplate hcmethod=GET\n" + member("hctemplate=t"))
    assert error == "f:1: ProxyHCTemplate: expected a name first, got 'hcmethod=GET'"


def test_a_second_template_of_a_name() -> None:
    text = "ProxyHCTemplate t hcinterval=5\nProxyHCTemplate T hcinterval=6\n"
    text += member("hctemplate=t")
    assert notes_of(text) == [
        "f:2: ProxyHCTemplate: there is a T already, and this line does nothing"
    ]
    health = load(text).balancers["b"].members[0].settings.health
    assert health is not None
    assert health.interval == 5.0


# -- places ------------------------------------------------------------------------------------


def test_names_of_hosts() -> None:
    """A host knows those of the main server, and its own before them; nobody knows another's."""
    text = f"""
        ProxyHCTemplate a hcinterval=5
        <VirtualHost *:8080>
          ServerName one.example
          ProxyHCTemplate a hcinterval=6
          ProxyHCTemplate b hcinterval=7
          {member("hctemplate=a")}
        </VirtualHost>
        <VirtualHost *:8080>
          ServerName two.example
          {member("hctemplate=a")}
        </VirtualHost>
        """
    found = [balancer.members[0].settings.health for balancer in load(text).balancers.values()]
    assert [one and one.interval for one in found] == [6.0, 5.0]
    (error,) = errors_of(text.replace("hctemplate=a", "hctemplate=b"))
    assert "expected the name of a ProxyHCTemplate before this line, got 'b'" in error


def test_in_a_proxy_section() -> None:
    text = """
        ProxyPass / balancer://b/
        <Proxy balancer://b>
          ProxyHCExpr ok {%{REQUEST_STATUS} == 204}
          BalancerMember scgi://localhost hcmethod=GET hcexpr=ok
        </Proxy>
        """
    assert good(load(text).balancers["b"].members[0].settings.health, 204)


def test_how_many_at_once() -> None:
    assert load(MOUNT + member("")).probes_at_once == 16
    assert load("ProxyHCTPsize 0\n" + member("")).probes_at_once == 0
    (error,) = errors_of("ProxyHCTPsize -1\n" + member(""))
    assert error.startswith("f:1: ProxyHCTPsize: expected a number of 0 or more")
    (error,) = errors_of("<VirtualHost *:8080>\nProxyHCTPsize 1\n</VirtualHost>")
    assert "ProxyHCTPsize: not allowed in <VirtualHost>" in error


def test_the_module_is_there() -> None:
    text = f"<IfModule mod_proxy_hcheck.c>\n{OK}</IfModule>\n{member('hcmethod=GET hcexpr=ok')}"
    assert load(text).balancers["b"].members[0].settings.health is not None
