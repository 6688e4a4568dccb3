"""Every way in which the gateway means to differ from Apache, with the reason.

The keys of DIFFERENCES are what `case.Differs` names; the documentation has the same list under
"Differences from Apache". What is STANDING differs in every case and is compared in none; each is
shown to differ in the case that it names.
"""

from __future__ import annotations

from dataclasses import dataclass

DIFFERENCES = {
    "304-accept-ranges": (
        "a 304 has no Accept-Ranges: RFC 9110 section 15.4.5 does not ask for it"
    ),
    "416-content-range": "a 416 says how long the file is (RFC 9110 section 15.5.17)",
    "allow-with-501": "Allow belongs to 405 (RFC 9110 section 10.2.1); Apache sends one with 501",
    "auth-charset": "the challenge says that credentials are UTF-8 (RFC 7617 section 2.1)",
    "backend-transfer-encoding": (
        "a CGI response has no Transfer-Encoding; Apache drops the header and shows the client "
        "the raw chunks, the gateway answers 502"
    ),
    "bad-gateway": (
        "a backend that does not answer, or answers with bytes that are no CGI response, is 502 "
        "Bad Gateway (RFC 9110 section 15.6.3); Apache answers 500"
    ),
    "bad-length": "a Content-Length that is none is 502; Apache drops it unread",
    "bad-status": (
        "a status that is none is 502; Apache sends 500 with the backend's headers and body, or "
        "a status line that no client understands"
    ),
    "chunked-upload": "the upload is spooled and sent with its true length; Apache answers 411",
    "close-after-error": (
        "the client's connection stays open after an error that leaves it usable, a "
        "backend's 500 or 503 included, and is closed after a bad request of any kind; "
        "Apache decides by the status"
    ),
    "content-length": (
        "the backend's Content-Length is passed on and enforced; Apache has dropped it since 2.4.59"
    ),
    "cookie-separator": "Cookie fields are joined by '; ' (RFC 9113 section 8.2.3), not by ', '",
    "encoded-nul": "%00 in a path is a bad request (400); Apache answers 404",
    "error-document-body": (
        "the page of an ErrorDocument is asked for without a body, and by HEAD for a HEAD request; "
        "Apache tells its backend the length of the first request's, and asks by GET"
    ),
    "error-document-validators": (
        "a file that is the page of an error has no validators or ranges: they are not the missing "
        "page's"
    ),
    "error-page-charset": "error pages are UTF-8; Apache's are ISO 8859-1",
    "failontimeout": "failontimeout works; with Apache it has no effect for SCGI",
    "forced-recovery": (
        "forcerecovery looks at enabled members only; with Apache a disabled one prevents it"
    ),
    "future-date": (
        "If-Modified-Since in the future is a date like any other (RFC 9110 section 13.1.3): 304; "
        "Apache ignores it, as RFC 2616 had it"
    ),
    "header-limit-status": "too many or too large header fields are 431 (RFC 6585), not 400",
    "header-tables": (
        "Header set replaces what the backend sent; Apache adds a second header beside "
        "it, as it keeps two tables"
    ),
    "hop-by-hop": "hop-by-hop headers of the backend end at the gateway (RFC 9110 section 7.6.1)",
    "http-versions": (
        "a request line of RTSP with a method of HTTP is read as HTTP of that version; Apache "
        "answers 400"
    ),
    "https-of-name": "HTTPS is on where ServerName says https; Apache sends REQUEST_SCHEME only",
    "late-body": "a body that does not come in time is 408; Apache answers 500 for SCGI",
    "late-request-line": (
        "a request line that does not come to its end in time is 408, as a header is; Apache closes "
        "without an answer"
    ),
    "leaked-path": (
        "the sendfile header, and what other servers call it, reaches no client, a 304 of the "
        "gateway's own included"
    ),
    "location-expression": (
        "ProxyPass works in a Location with any expression; with Apache only if it has a wildcard's "
        "character in it, and else is 404"
    ),
    "location-without-status": (
        "an absolute Location without a Status is 302 (RFC 3875 section 6.2.3); Apache sends 200"
    ),
    "max-forwards": (
        "Max-Forwards is for TRACE and OPTIONS (RFC 9110 section 7.6.2) and is passed "
        "as it came; Apache counts it down for every method"
    ),
    "near-ranges": (
        "ranges less than 80 bytes apart are sent as one (RFC 9110 section 15.3.7.2 allows it)"
    ),
    "options-star": "OPTIONS * is answered with Allow",
    "own-pages": (
        "server-status without a Require of its own section is for clients on this machine, and "
        "not for those of a proxy on it; with Apache it has that of the site"
    ),
    "path-info": (
        "PATH_INFO is decoded and SCRIPT_NAME is the mount point; Apache's guess is right only "
        "for paths without an escape"
    ),
    "path-info-by-setenv": "proxy-scgi-pathinfo works by SetEnv as it does by SetEnvIf",
    "path-translated": (
        "PATH_TRANSLATED is the document root and PATH_INFO; Apache looks for an index file, or "
        "gives a proxy: URL"
    ),
    "post-to-a-file": "a file takes GET and HEAD, others are 405; Apache answers POST as a GET",
    "reason-phrases": "statuses have the names of RFC 9110, not those of RFC 2616",
    "redirect-variables": (
        "after an internal redirect: no REDIRECT_CONTENT_LENGTH, at most "
        "REDIRECT_REDIRECT_ before a name, REDIRECT_QUERY_STRING always, and no "
        "REDIRECT_REMOTE_USER of a login that failed"
    ),
    "relative-location": (
        "the redirect to a folder's name with its slash is relative (RFC 9110 section 10.2.2)"
    ),
    "repeated-headers": (
        "repeated response headers are passed as they came; Apache joins them, challenges too"
    ),
    "repeated-requests": (
        "a request that does no harm when it is repeated goes to another member when the first has "
        "closed without a byte of an answer; Apache answers 500"
    ),
    "repeated-names": (
        "no variable is sent twice; Apache does after RequestHeader add, and the last one wins"
    ),
    "response-head-limit": "a response head of over 200 lines or 64 KiB is 502; Apache has no limit",
    "rewriting-directives": (
        "ProxyPassReverse and kin, and ProxyErrorOverride, do for SCGI what they do for HTTP; "
        "with Apache they do nothing"
    ),
    "sendfile": (
        "a file sent for the backend has a length, validators and ranges; Apache streams it "
        "without any"
    ),
    "sendfile-confinement": (
        "files are sent from the XSendFilePath folders, else from DocumentRoot, only; Apache "
        "sends whatever <Directory> sections let it"
    ),
    "sendfile-dots": "a file's path must be written without dot segments",
    "sendfile-errors": "a missing file is 404 and one that may not be sent 403; Apache answers 500",
    "server-port": "SERVER_PORT of a ServerName without a port is that of the listener, not 80",
    "session-names": (
        "stickysession names a whole parameter of the path or the query, or a whole cookie; "
        "Apache takes the name at the end of a longer word, and reads on to the next ? or &"
    ),
    "session-values": (
        "a session's value is decoded, its quotes are removed, and its route is what follows the "
        "last separator, or the longest end that is a route; Apache's follows the first"
    ),
    "short-body": "a body shorter than its Content-Length is an abort; with Apache it looks whole",
    "status-line": "an HTTP status line in place of Status is understood; Apache answers 500",
    "strict-target": (
        "a request target is ASCII (RFC 3986): raw bytes above it are 400; Apache passes them"
    ),
    "symlinks": (
        "a symbolic link is followed within DocumentRoot or an Alias's folder, and not out of it; "
        "Apache goes by Options and the <Directory> sections"
    ),
    "type-case": "Content-Type is passed as it came; Apache writes the type in lower case",
    "type-from-extension": (
        "a response without a Content-Type stays without; Apache guesses one from the URL, or gives "
        "it that of the answer that redirected to it"
    ),
    "two-blanks": (
        "more than one blank between the parts of a request line is taken as one (RFC 9112 "
        "section 3 allows it); Apache answers 400"
    ),
    "unknown-file-type": (
        "a file whose extension says no type is application/octet-stream; Apache sends no type"
    ),
    "unknown-methods": (
        "a method that the HTTP parser does not know is 501; Apache passes it to the backend"
    ),
}


@dataclass(frozen=True)
class Standing:
    """Why it differs in every case, and in which case that shows."""

    reason: str
    shown_by: str
    fact: str = ""
    """Under which name it shows there, when not under its own in the first request."""


STANDING_VARIABLES = {
    "PATH": Standing("Apache tells the backend its own PATH; the gateway nothing of it", "var-get"),
    "SCRIPT_FILENAME": Standing("Apache sends proxy:URL, which is no file; ours none", "var-get"),
    "SERVER_SOFTWARE": Standing("each names itself", "var-get"),
    "GATEWAY_INTERFACE": Standing(
        "neither sends it; Apache does as REDIRECT_GATEWAY_INTERFACE, the gateway does not",
        "redirect-twice",
        "told.1.REDIRECT_GATEWAY_INTERFACE",
    ),
    "proxy-scgi-pathinfo": Standing("a switch of the gateway's own", "map-info-rest"),
    "proxy-nokeepalive": Standing("a switch of Apache's own", "map-set-handler"),
    "no-proxy": Standing("a switch of the gateway's own", "map-no-proxy-by-setenv"),
}

STANDING_HEADERS = {
    "server": Standing("each names itself", "var-get"),
    "date": Standing("the time of the answer", ""),
}
