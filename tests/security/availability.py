"""The attacks that want a gateway to serve nobody, and those on SCGI ports themselves."""

from __future__ import annotations

from tests.security.rows import Row, cases

_ABSENT = "tests/security/test_absent.py::"
_CHUNKS = "tests/web/test_reader_chunks.py::"
_FUZZ = "tests/fuzz/test_requests.py::"

DENIAL_OF_SERVICE = (
    Row(
        "clients that send or read a byte now and then hold every connection",
        "each is cut at its deadline, and the others are served",
        (
            "tests/web/test_read_timeouts.py::test_whole_heads",
            "tests/web/test_read_timeouts.py::test_whole_bodies",
            "tests/web/test_send_timeouts.py::test_least_rate",
            "tests/bench/test_slow.py::test_slow_clients_are_cut",
            "tests/e2e/test_descriptors.py::test_exhausted",
            "tests/e2e/test_descriptors.py::test_over_max_connections",
            "tests/e2e/test_descriptors.py::test_over_max_connections_per_ip",
        ),
    ),
    Row(
        "a client that leaves in a body leaves its backend occupied",
        "the backend is released, whenever it leaves",
        (
            "tests/web/test_exchange_leaving.py",
            "tests/e2e/test_leaving_clients.py::test_the_backend_is_free_for_the_next",
            "tests/e2e/test_leaving_clients.py::test_at_each_point_of_a_request",
        ),
    ),
    Row(
        "resets of HTTP/2 streams, one upon another",
        "HTTP/2 is not spoken",
        (f"{_ABSENT}test_http_2_is_not_offered",),
        not_here="there is no HTTP/2",
    ),
    Row(
        "CONTINUATION frames without end",
        "HTTP/2 is not spoken; a head of HTTP/1 is bounded",
        (
            f"{_ABSENT}test_http_2_is_not_offered",
            "tests/web/test_reader.py::test_fields_have_a_limit_together",
        ),
        not_here="there is no HTTP/2",
    ),
    Row(
        "small frames that become large heads; cookies in crumbs",
        "HTTP/2 is not spoken; repeated fields count as the one that they become",
        (
            f"{_ABSENT}test_http_2_is_not_offered",
            *cases("cookie-crumbs", "field-repeated-over-the-size"),
        ),
        not_here="there is no HTTP/2",
    ),
    Row(
        "floods of pings and settings",
        "HTTP/2 is not spoken",
        (f"{_ABSENT}test_http_2_is_not_offered",),
        not_here="there is no HTTP/2",
    ),
    Row(
        "chunks of a byte, lines of sizes and trailers without an end",
        "a line is bounded, so are trailers; what is done does not grow with the body",
        (
            f"{_CHUNKS}test_a_chunk_s_line_is_bounded",
            f"{_CHUNKS}test_ten_megabytes_of_chunks_of_a_byte_are_told_as_pieces",
            f"{_CHUNKS}test_chunk_extension_or_trailer_without_an_end_is_refused",
            f"{_FUZZ}test_nothing_is_held_of_these",
        ),
    ),
    Row(
        "fields without number or end",
        "431, by number, by size, and by the size of all",
        (
            *cases("fields-101", "field-of-9000-bytes", "field-name-of-9000-bytes"),
            "tests/web/test_reader.py::test_line_without_an_end_is_refused",
            f"{_FUZZ}test_nothing_is_held_of_what_goes_on",
        ),
    ),
    Row(
        "uploads fill the disk",
        "a limit for each and for all of them; files without a name; a full disk is one 507",
        (
            "tests/wire/test_spool.py::test_spool_has_a_limit",
            "tests/wire/test_spool.py::test_all_files_together_have_a_limit",
            "tests/wire/test_spoolspace.py::test_file_is_nobody_elses",
            "tests/web/test_exchange_upload.py::test_disk_that_is_full_is_507",
        ),
    ),
    Row(
        "a small upload is large when it is inflated",
        "nothing is inflated: it is the application's to say how much it takes",
        (
            f"{_ABSENT}test_it_cannot_be_configured[decompression of uploads]",
            f"{_ABSENT}test_a_compressed_upload_is_passed_as_it_is",
        ),
        not_here="nothing is inflated",
    ),
    Row(
        "the block of variables is too large for the backend, or its length overflows",
        "431 over `maxheader`; lengths are below 2^63",
        (
            "tests/web/test_exchange.py::test_header_block_over_its_limit_is_431",
            *cases("length-2-63", "length-2-64-and-5"),
        ),
    ),
    Row(
        "requests that fail are repeated, and bring down what is left",
        "repetitions have a budget, and what was sent and may not be sent twice is not",
        (
            "tests/pool/test_budget.py::test_a_storm_of_quick_failures_adds_three_a_second",
            "tests/web/test_exchange_ready.py::test_a_post_that_was_sent_is_not_repeated",
        ),
    ),
    Row(
        "a backend hangs, and with it whoever waits for it",
        "every wait has a deadline",
        (
            "tests/wire/test_client_deadlines.py::test_no_head_in_time",
            "tests/wire/test_client_deadlines.py::test_a_head_in_drips_is_not_in_time",
            "tests/wire/test_client_deadlines.py::test_body_that_stops",
            "tests/wire/test_client_deadlines.py::test_backend_that_does_not_read",
            "tests/web/test_exchange_duration.py::test_before_the_first_byte",
            "tests/faults/test_memory.py::test_what_comes_of_it",
        ),
    ),
)

PORTS = (
    Row(
        "whoever reaches an SCGI port is the web server",
        "the check warns of a TCP backend that is not on this machine",
        (
            "tests/config/test_proxy.py::test_backends_that_others_can_reach_are_noted_once",
            "tests/config/test_proxy.py::test_a_service_has_no_port_of_its_own",
        ),
    ),
    Row(
        "a client sets a variable by which the application trusts its gateway",
        "no spelling of a field is anything but HTTP_*",
        (
            *cases("variable-trust-of-rtorrent", "variable-secret", "variable-scgi"),
            *cases("variable-secret-of-the-query", "variable-connection-names-the-operators"),
            "tests/message/test_environ.py::TestPrecedence::test_a_client_reaches_only_http_names",
            "tests/docs/test_examples.py::test_the_gateway_to_rtorrent",
        ),
    ),
)
