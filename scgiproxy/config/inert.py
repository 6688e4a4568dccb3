"""Rows of the table: what files in the wild say and nothing here needs. The check tells so once."""

from __future__ import annotations

from collections.abc import Callable

from scgiproxy.config.arguments import parse_flag
from scgiproxy.config.scopes import Place
from scgiproxy.config.table import ANYWHERE, Context, Directive, Read

TLS_HINT = (
    'TLS is spoken by an endpoint string: Listen "ssl:443:privateKey=KEY:certKey=CERTIFICATE"'
)

_FILES = "files are served as they are, with a type that is guessed from the name"
_FILTERS = "answers are sent as they are, and not compressed"
_LISTS = "folders are not listed"
_TWISTD = "it is an option of twistd"
_PROCESSES = "there are as many processes as Workers says, each for any number of connections"
_SYSTEM = "the system's defaults are used"
_PROXY = "it has no meaning for SCGI"

_REASONS = {
    "files in folders are not read for directives": "AllowOverride AllowOverrideList AccessFileName",
    "a folder is answered with its index.html": "DirectoryIndex DirectorySlash"
    " DirectoryIndexRedirect DirectoryCheckHandler",
    "symbolic links are followed inside DocumentRoot and the folder of an Alias, and not out of it;"
    " folders are not listed, and nothing in them is run": "Options",
    _FILES: "FileETag ContentDigest AcceptPathInfo"
    " AddEncoding AddLanguage AddCharset AddDefaultCharset DefaultLanguage DefaultType TypesConfig"
    " MimeMagicFile LanguagePriority ForceLanguagePriority CacheNegotiatedDocs MultiviewsMatch"
    " ModMimeUsePathInfo RemoveType RemoveEncoding RemoveLanguage RemoveCharset RemoveHandler"
    " RemoveInputFilter RemoveOutputFilter EnableMMAP"
    " EnableSendfile MaxRanges MaxRangeOverlaps MaxRangeReversals",
    _LISTS: "AddAlt AddAltByEncoding AddAltByType AddDescription AddIcon AddIconByEncoding"
    " AddIconByType DefaultIcon HeaderName ReadmeName IndexIgnore IndexIgnoreReset IndexOptions"
    " IndexOrderDefault IndexStyleSheet IndexHeadInsert",
    f"{_TWISTD} (--pidfile)": "PidFile",
    f"{_TWISTD} (--uid, --gid)": "User Group",
    _PROCESSES: "StartServers MinSpareServers MaxSpareServers MaxRequestWorkers MaxClients"
    " MaxConnectionsPerChild MaxRequestsPerChild ServerLimit ThreadsPerChild ThreadLimit"
    " MinSpareThreads MaxSpareThreads ThreadStackSize AsyncRequestWorkerFactor MaxMemFree"
    " ScoreBoardFile Mutex LockFile AcceptMutex"
    " CoreDumpDirectory EnableExceptionHook RLimitCPU RLimitMEM RLimitNPROC WatchdogInterval"
    " ExtendedStatus",
    _SYSTEM: "ListenCoresBucketsRatio ListenTCPDeferAccept ReceiveBufferSize"
    " SendBufferSize AcceptFilter ReadBufferSize FlushMaxPipelined FlushMaxThreshold",
    "no names are looked up for addresses": "HostnameLookups",
    "the Server header is all that answers say of the server": "ServerSignature",
    "the port comes from the request or from where it came in": "UseCanonicalPhysicalPort",
    "names alone choose between virtual hosts of one address": "NameVirtualHost ServerPath",
    "what a module of Apache does is built in, or not there": "LoadModule LoadFile ClearModuleList"
    " AddModule",
    "a method is passed to the backend, whatever it is": "TraceEnable RegisterHttpMethod",
    "requests are always read strictly": "HttpProtocolOptions",
    "runs of slashes are always one": "MergeSlashes",
    "HTTP/1.1 is spoken": "Protocols ProtocolsHonorOrder Protocol",
    "the log has a form of its own": "ErrorLogFormat BufferedLogs SeeRequestTail",
    "no request body is read as XML": "LimitXMLRequestBody",
    "trailers are dropped": "MergeTrailers",
    _PROXY: "ProxyVia ProxyBadHeader ProxyIOBufferSize ProxyReceiveBufferSize Proxy100Continue"
    " ProxyMaxForwards ProxyDomain NoProxy ProxyPassInterpolateEnv",
    "a virtual host has the main server's mounts too": "ProxyPassInherit",
    "server-status always shows the balancers": "ProxyStatus",
}


def _inert(name: str, reason: str) -> Directive:
    return Directive(
        name=name,
        contexts=ANYWHERE,
        syntax="...",
        count=(0, None),
        doc=f"Does nothing here: {reason}.",
        inert=reason,
    )


def _refusing(refuse: Callable[[list[str]], str]) -> Read:
    """A rule for what is harmless in most forms; `refuse` gives the reason against the others."""

    def read(_: Place, words: list[str]) -> None:
        if reason := refuse(words):
            raise ValueError(reason)

    return read


def _refuse_tls(words: list[str]) -> str:
    # `SSLEngine optional` upgrades inside HTTP; nobody has ever used it.
    is_off = words[0].lower() != "optional" and not parse_flag(words[0])
    return "" if is_off else f"this server would answer in plain text; {TLS_HINT}"


def _refuse_scripts(words: list[str]) -> str:
    if words[0].lower().startswith("application/x-httpd-"):
        return "scripts are not run here, and their source would be served"
    return ""


_HARMLESS_HANDLERS = ("default-handler", "imap-file", "send-as-is", "type-map")
_HARMLESS_FILTERS = ("BROTLI_COMPRESS", "DEFLATE", "NONE")


def _refuse_handlers(words: list[str]) -> str:
    if words[0].lower() in _HARMLESS_HANDLERS:
        return ""
    return (
        f"{words[0]} is not run here, and the source of such files would be served; expected one of"
        f" {', '.join(_HARMLESS_HANDLERS)}"
    )


def _refuse_filters(words: list[str]) -> str:
    wrong = [word for word in words[0].split(";") if word.upper() not in _HARMLESS_FILTERS]
    if not wrong:
        return ""
    return (
        f"{wrong[0]} is not run here, and what it would change would be sent as it is; expected one"
        f" of {', '.join(_HARMLESS_FILTERS)}"
    )


def _filters(name: str, syntax: str, least: int) -> Directive:
    return Directive(
        name=name,
        contexts=ANYWHERE,
        syntax=syntax,
        count=(least, None),
        read=_refusing(_refuse_filters),
        doc=f"Does nothing here: {_FILTERS}.",
        inert=_FILTERS,
    )


ROWS = (
    *(_inert(name, reason) for reason, names in _REASONS.items() for name in names.split()),
    Directive(
        name="AddType",
        contexts=ANYWHERE,
        syntax="TYPE EXTENSION ...",
        count=(2, None),
        read=_refusing(_refuse_scripts),
        doc=f"Does nothing here: {_FILES}.",
        inert=_FILES,
    ),
    Directive(
        name="AddHandler",
        contexts=ANYWHERE,
        syntax="HANDLER EXTENSION ...",
        count=(2, None),
        read=_refusing(_refuse_handlers),
        doc=f"Does nothing here: {_FILES}.",
        inert=_FILES,
    ),
    _filters("AddOutputFilter", "FILTER[;FILTER] EXTENSION ...", 2),
    _filters("AddOutputFilterByType", "FILTER[;FILTER] TYPE ...", 2),
    _filters("SetOutputFilter", "FILTER[;FILTER]", 1),
    Directive(
        name="SSLEngine",
        contexts=Context.SERVER | Context.VIRTUAL_HOST,
        syntax="Off",
        read=_refusing(_refuse_tls),
        doc=f"Off is the only value. {TLS_HINT}.",
        default="Off",
    ),
)
