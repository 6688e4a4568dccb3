"""The attacks of backends, and of those who can make them say what they want."""

from __future__ import annotations

from tests.security.rows import Row, cases

_ABSENT = "tests/security/test_absent.py::"
_FUZZ = "tests/fuzz/test_responses.py::"
_ANSWERS = "tests/security/test_responses.py::"


def malformed(*names: str) -> tuple[str, ...]:
    """Tests of heads that are none."""
    return tuple(
        f"tests/web/test_exchange.py::test_malformed_head_is_502[{name}]" for name in names
    )


RESPONSES = (
    Row(
        "the reader of answers keeps a state when the first line is no status line",
        "one reader, byte by byte the same, within its limits",
        (
            "tests/scgi/test_response.py::test_status_line_cut_anywhere_then_no_status_line",
            "tests/scgi/test_response.py::test_any_bytes_in_any_cut",
            "tests/web/test_exchange.py::test_any_bytes_of_a_backend_are_an_answer_or_a_502",
            f"{_FUZZ}test_words_in_any_order",
            f"{_FUZZ}test_changes_of_seeds",
            f"{_FUZZ}test_what_was_found",
            f"{_FUZZ}test_nothing_is_held_of_what_goes_on",
        ),
    ),
    Row(
        "a backend splits its answer by CR, LF or NUL, or sends two lengths or a coding",
        "502; and what is relayed has no control byte, and no field that was not sent",
        (
            "tests/web/test_exchange.py::test_malformed_head_is_502",
            "tests/scgi/test_response.py::test_bad_head",
            f"{_FUZZ}test_good_and_bad_ones_in_each_mode",
            f"{_FUZZ}test_a_second_answer_is_found",
            f"{_FUZZ}test_a_field_that_nobody_has_sent_is_found",
        ),
    ),
    Row(
        "a backend's Content-Length is no number",
        "502",
        (
            *malformed("signed length", "negative length", "list of lengths", "no number"),
            *malformed("hex length", "huge length"),
            "tests/scgi/test_response.py::test_bad_head",
        ),
    ),
    Row(
        "a backend's fields of the connection reach the client",
        "they end here",
        (
            "tests/web/test_responsehead.py::test_hop_by_hop_headers_end_here",
            f"{_ANSWERS}test_each_field_of_the_connection_ends_here",
        ),
    ),
    Row(
        "a backend's Location or type makes the gateway run what is its own",
        "it is a path of the same host, routed and judged as every other; off by one directive",
        (
            "tests/web/test_redirect.py::test_target_is_normalised_and_of_this_host",
            "tests/web/test_redirect.py::test_off",
            "tests/directives/test_redirects.py::test_what_it_can_reach",
            f"{_ANSWERS}test_a_redirect_opens_nothing_that_is_for_this_machine",
            f"{_ANSWERS}test_a_type_chooses_no_handler",
        ),
    ),
    Row(
        "X-Sendfile names a file that is nobody's business, or reaches the client",
        "regular files beneath the folders that are allowed; the field is always dropped",
        (
            "tests/web/test_openfile.py::test_forbidden",
            "tests/web/test_openfile.py::test_not_found",
            "tests/web/test_openfile.py::test_symlinks_that_lead_out_are_not",
            "tests/web/test_openfile.py::test_a_symlink_put_there_after_the_check",
            "tests/web/test_openfile.py::test_what_is_no_regular_file",
            "tests/directives/test_sendfile.py::test_confinement",
            "tests/directives/test_sendfile.py::test_what_is_no_path_in_a_folder",
            "tests/directives/test_sendfile.py::test_a_name_with_a_nul",
            "tests/web/test_responsehead.py::test_sendfile_header_never_reaches_a_client",
            "tests/web/test_responsehead.py::test_sendfile_header_does_not_leak_through_a_304",
            f"{_FUZZ}test_changes_of_seeds",
        ),
    ),
    Row(
        "a path is that of another machine (UNC)",
        "slashes are made one, and a backslash is a byte of a name",
        (
            f"{_ABSENT}test_no_path_is_of_another_machine",
            *cases("static-unc"),
            "tests/directives/test_sendfile.py::test_what_is_no_path_in_a_folder[//host/share]",
        ),
        not_here="such paths are of Windows",
    ),
    Row(
        "rewriting of cookies and of HTML overflows",
        "cookies are rewritten as strings of Python; HTML is not rewritten",
        (
            "tests/web/test_mount.py::test_cookies_are_rewritten",
            "tests/rules/test_rewriting.py::test_cookie_never_fails_and_keeps_name_and_value",
            "tests/rules/test_rewriting.py::test_location_never_fails",
            f"{_FUZZ}test_words_in_any_order",
            f"{_ABSENT}test_it_cannot_be_configured[rewriting of HTML]",
        ),
    ),
    Row(
        "a backend's status is 1xx, 000, 999 or no number",
        "502",
        malformed(
            *("status 100", "status 101", "status 199", "status 000", "status 999", "status abc"),
            "status line 100",
        ),
    ),
)
