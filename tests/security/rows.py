"""The attacks on gateways that are known, and where it is shown what comes of each here.

A row is one way in which gateways and servers have been attacked, with the tests that show what
happens instead. `test_rows` holds each name of a test to be one that pytest finds.
"""

from __future__ import annotations

from dataclasses import dataclass

_SOCKETS = "tests/smuggling/test_sockets.py::test_what_comes_of_it"
_LOGS = "tests/security/test_logs.py::"
_ABSENT = "tests/security/test_absent.py::"


@dataclass(frozen=True)
class Row:
    """One attack.

    - `attack`: what is done, or has gone wrong elsewhere.
    - `instead`: what comes of it here.
    - `tests`: that show it, as pytest names them; without brackets it is all of their parameters.
    - `not_here`: why it does not apply; the tests show that the feature is not there.
    - `to_come`: what is still to be shown; such a row is expected to fail.
    """

    attack: str
    instead: str
    tests: tuple[str, ...]
    not_here: str = ""
    to_come: str = ""


def cases(*names: str) -> tuple[str, ...]:
    """Cases of the smuggling corpus, on sockets."""
    return tuple(f"{_SOCKETS}[{name}]" for name in names)


VARIABLES = (
    Row(
        "a Proxy field becomes HTTP_PROXY, which clients of HTTP obey (httpoxy)",
        "it makes no variable, however it is spelt",
        (
            *cases("variable-proxy", "variable-proxy-lower", "variable-proxy-capitals"),
            "tests/web/test_vhost.py::test_fields_that_make_no_variable",
        ),
    ),
    Row(
        "two spellings of a field are one variable (Remote_User, Remote.User)",
        "a name with anything but letters, digits and `-` makes no variable",
        (
            *cases("variable-user-underscore", "variable-user-dot", "variable-user-both"),
            *cases("variable-user-both-turned", "variable-true-user"),
            "tests/message/test_headers.py::TestCgiName::test_two_names_never_meet",
        ),
    ),
    Row(
        "a field that a gate before the application should set comes from the client",
        "RequestHeader unset and set leave nothing of the client's under any spelling",
        cases("variable-operators-unset-header", "variable-operators-header"),
    ),
    Row(
        "configured variables replace the computed ones, or fields do",
        "what is computed wins; the check says that a SetEnv of it is ignored",
        (
            "tests/directives/test_environment.py::test_what_cannot_be_set",
            "tests/message/test_environ.py::test_framing_names_are_withheld",
            *cases("variable-length", "variable-method", "variable-script-name"),
        ),
    ),
    Row(
        "a NUL, CR or LF in a name or value splits the block of variables",
        "400 for a control byte in a field or a path; a block has every name once",
        (
            *cases("field-nul-in-the-value", "target-nul", "target-lf", "line-cr-within-a-value"),
            "tests/message/test_environ.py::test_any_input_gives_a_well_formed_block_or_bad_request",
            "tests/scgi/test_request.py::test_what_would_split_the_block_is_refused",
        ),
    ),
    Row(
        "a value is measured, and has changed when it is written",
        "the length is that of the bytes that are sent",
        (
            "tests/security/test_variables.py::test_the_length_is_that_of_the_bytes_that_are_sent",
            "tests/scgi/test_request.py::test_values_of_any_size_are_counted_in_bytes",
        ),
    ),
    Row(
        "the path is split at another place than was judged (%0a before .php, case folding)",
        "LF is refused; nothing is split by a suffix, and bytes stay bytes",
        (
            *cases("target-php-lf", "target-utf-8"),
            "tests/web/test_vhost.py::test_path_info",
        ),
    ),
    Row(
        "REMOTE_ADDR or the scheme is what X-Forwarded-For and kin say",
        "they are fields like others: nobody is trusted to set them",
        (
            *cases("variable-forwarded", "variable-https"),
            "tests/web/test_site.py::test_forwarded_fields_of_a_client_are_just_fields",
            "tests/e2e/test_listening.py::test_who_it_is_by_the_proxy_protocol",
            f"{_ABSENT}test_it_cannot_be_configured[addresses that a field says]",
        ),
    ),
    Row(
        "a local redirect leads to itself",
        "500 after a number of them",
        ("tests/web/test_redirect.py::test_loop_has_an_end",),
    ),
)

SMUGGLING = (
    Row(
        "two lengths, a length and a coding, signs, 0x, bare LF, folds, blanks before the colon",
        "400 (501 for an unknown coding), and nothing that follows is read",
        (
            *cases("length-two-different", "length-and-chunked", "length-plus", "chunk-0x"),
            *cases("line-lf-alone", "fold-with-a-blank", "field-blank-before-the-colon"),
            *cases("coding-chunked-identity", "coding-comma-chunked", "chunk-17-digits"),
            "tests/smuggling/test_cuts.py",
        ),
    ),
    Row(
        "answers to pipelined requests overtake each other, bodies reach the next request",
        "one is served after the other",
        (
            *cases("pipeline-in-order", "pipeline-of-bodies", "pipeline-slow-with-a-body"),
            "tests/web/test_pipeline.py::test_pipelined_requests_are_answered_in_order",
            "tests/web/test_pipeline.py::test_pipelined_bodies_are_never_mixed",
        ),
    ),
    Row(
        "a single LF in the framing of chunks",
        "400",
        cases("chunk-lf", "chunk-lf-behind-the-data", "chunk-last-with-lf", "chunk-last-and-lf"),
    ),
    Row(
        "fields of the connection in a request of HTTP/2; pseudo-fields out of order",
        "HTTP/2 is not spoken: neither by ALPN nor by its preface nor by Upgrade",
        (
            f"{_ABSENT}test_http_2_is_not_offered",
            "tests/e2e/test_listening.py::test_tls",
            *cases("preface", "preface-and-settings", "upgrade-and-preface"),
        ),
        not_here="there is no HTTP/2",
    ),
    Row(
        "trailers are merged into the head",
        "they are dropped",
        (
            *cases("trailers-are-dropped", "trailers-about-the-request"),
            *cases("trailer-length", "trailer-coding"),
        ),
    ),
    Row(
        "%0d%0a is decoded and put into a line",
        "refused in a path; a query is never decoded",
        cases("target-cr-lf", "query-cr-lf"),
    ),
    Row(
        "behind Upgrade: h2c a tunnel is opened, and nothing in it is checked",
        "Upgrade is ignored and not passed on, and what follows is read as ever",
        (
            *cases("upgrade-h2c", "upgrade-websocket", "upgrade-with-a-length"),
            *cases("upgrade-with-chunks", "upgrade-and-preface"),
            "tests/web/test_reader.py::test_body_behind_an_upgrade_is_no_request",
        ),
    ),
    Row(
        "after an answer that comes early, the rest of the body is read as a request",
        "the connection ends in a way that the client can read the answer; nothing is read of it",
        (
            "tests/smuggling/test_early.py::test_the_client_can_always_read_its_answer",
            "tests/smuggling/test_early.py::test_whoever_pipelines_on_can_read_all_answers",
            *cases("early-answer", "denied-with-a-body", "denied-with-malformed-chunks"),
            "tests/web/test_channel.py::test_body_of_an_answered_request_is_not_refused",
        ),
    ),
)

ROUTING = (
    Row(
        "an address in a request becomes that of the backend (unix:, over-long)",
        "addresses are of the configuration alone",
        (
            *cases("query-unix", "path-unix", "absolute-scgi", "absolute-other-scheme"),
            "tests/web/test_site.py::test_no_address_is_taken_from_a_request",
        ),
    ),
    Row(
        "a variable chooses the backend",
        "none can: the check refuses such an address",
        (
            f"{_ABSENT}test_it_cannot_be_configured[a backend of the path]",
            f"{_ABSENT}test_it_cannot_be_configured[a backend of a variable]",
        ),
        not_here="a backend's address is fixed when the configuration is read",
    ),
    Row(
        "another spelling of a path passes by the rules of access",
        "one normal form for the rules, the mapping and the backend",
        (
            *cases("access-slashes", "access-dots", "access-encoded-dots", "access-encoded-letter"),
            *cases("access-parameter", "access-backslash", "access-overlong-slash"),
            *cases("access-encoded-slash", "access-slashes-on", "access-slashes-nodecode"),
            "tests/directives/test_access.py::test_no_way_around",
        ),
    ),
    Row(
        "an alias without a slash at its end leads beside its folder",
        "an alias ends at a slash",
        cases("static-dots", "static-dots-below", "static-encoded-slash", "static-link-name"),
    ),
    Row(
        "DNS: endless answers, rebinding, crafted names",
        "answers are bounded, what is no answer is dropped, the last good ones are kept",
        (
            "tests/pool/test_stub_resolver.py::test_what_is_no_answer_is_dropped",
            "tests/pool/test_stub_resolver.py::test_an_answer_from_elsewhere_is_dropped",
            "tests/pool/test_lookup.py::test_the_last_good_members_stay",
        ),
    ),
)

ADMINISTRATION = (
    Row(
        "a page of another site changes a balancer; a name is markup (CSRF, XSS)",
        "a nonce, the same origin and POST; whatever is shown is text",
        (
            "tests/web/manager/test_resource.py::test_it_comes_from_elsewhere",
            "tests/web/manager/test_resource.py::test_a_get_changes_nothing",
            "tests/web/manager/test_page.py::test_hostile_text",
            "tests/web/manager/test_resource.py::test_what_a_page_is_allowed",
            "tests/directives/test_manager.py::test_who_may_see_it",
        ),
    ),
    Row(
        "Host is echoed on a page",
        "a bad one is 400, and pages show text",
        (
            *cases("host-script"),
            "tests/web/test_reader.py::test_page_does_not_repeat_the_request_unescaped",
            "tests/web/manager/test_page.py::test_hostile_hosts",
        ),
    ),
    Row(
        "a client writes lines into the logs, or commands to the terminal that shows them",
        "every log is printable ASCII, a line for each answer",
        (
            f"{_LOGS}test_no_line_is_of_a_client_s_making",
            f"{_LOGS}test_every_smuggled_request",
            "tests/web/test_accesslog.py::test_nothing_ends_a_line_or_a_quoted_field",
        ),
    ),
    Row(
        "secrets stand in logs and on pages of status",
        "credentials and cookies are in neither",
        (f"{_LOGS}test_secrets_are_neither_logged_nor_shown",),
    ),
)
