"""Apache's directives that are not served here: names, so that a message can say what they are."""

from __future__ import annotations

from scgiproxy.config.inert import TLS_HINT

_HINTS = {
    "Limit": "rules for some methods only are not supported",
    "LimitExcept": "rules for some methods only are not supported",
    "AliasMatch": "write Alias",
    "SetEnvIfExpr": "write SetEnvIf",
    "XSendFile": "write ProxySCGISendfile On",
    "SCGIServer": "write SCGIMount PATH HOST:PORT",
    "SCGIHandler": "write SCGIMount PATH HOST:PORT",
    "ChrootDir": "use twistd --chroot",
    "TransferLog": "write CustomLog FILE common",
}

_NAMES = {
    "core": "CGIVar Else ElseIf ForceType If IfSection Limit LimitExcept QualifyRedirectURL"
    " RegexDefaultOptions SetInputFilter StrictHostCheck",
    "mod_actions": "Action Script",
    "mod_alias": "AliasMatch AliasPreservePath Redirect RedirectMatch RedirectPermanent"
    " RedirectRelative RedirectTemp ScriptAlias ScriptAliasMatch",
    "mod_allowmethods": "AllowMethods",
    "mod_auth_basic": "AuthBasicAuthoritative AuthBasicFake AuthBasicUseDigestAlgorithm",
    "mod_authn_core": "AuthnProviderAlias",
    "mod_authz_core": "AuthMerging AuthzProviderAlias AuthzSendForbiddenOnFailure",
    "mod_authz_groupfile": "AuthGroupFile",
    "mod_cgi": "CGIScriptTimeout ScriptLog ScriptLogBuffer ScriptLogLength ScriptSock",
    "mod_dir": "FallbackResource",
    "mod_file_cache": "CacheFile MMapFile",
    "mod_filter": "FilterChain FilterDeclare FilterProtocol FilterProvider FilterTrace",
    "mod_ident": "IdentityCheck IdentityCheckTimeout",
    "mod_include": "XBitHack",
    "mod_log_config": "TransferLog GlobalLog",
    "mod_macro": "Macro Use UndefMacro",
    "mod_mime": "AddInputFilter",
    "mod_proxy": "ProxyBlock ProxyRemote ProxyRemoteMatch ProxySourceAddress",
    "mod_proxy_connect": "AllowCONNECT",
    "mod_request": "KeptBodySize",
    "mod_scgi": "SCGIServer SCGIHandler",
    "mod_setenvif": "SetEnvIfExpr",
    "mod_speling": "CheckBasenameMatch CheckCaseOnly CheckSpelling",
    "mod_suexec": "SuexecUserGroup",
    "mod_unixd": "ChrootDir Suexec",
    "mod_userdir": "UserDir",
    "mod_xsendfile": "XSendFile XSendFileIgnoreEtag XSendFileIgnoreLastModified XSendFileUnescape",
}

_PREFIXES = {
    "Anonymous": "mod_authn_anon",
    "AuthDBD": "mod_authn_dbd",
    "AuthDBM": "mod_authn_dbm",
    "AuthDigest": "mod_auth_digest",
    "AuthForm": "mod_auth_form",
    "AuthLDAP": "mod_authnz_ldap",
    "AuthnCache": "mod_authn_socache",
    "AuthzDBD": "mod_authz_dbd",
    "Brotli": "mod_brotli",
    "Cache": "mod_cache",
    "Charset": "mod_charset_lite",
    "Cookie": "mod_usertrack",
    "DAV": "mod_dav",
    "DBD": "mod_dbd",
    "Deflate": "mod_deflate",
    "Expires": "mod_expires",
    "ExtFilter": "mod_ext_filter",
    "FastCgi": "mod_fastcgi",
    "Fcgid": "mod_fcgid",
    "H2": "mod_http2",
    "Heartbeat": "mod_heartmonitor",
    "Imap": "mod_imagemap",
    "LDAP": "mod_ldap",
    "Lua": "mod_lua",
    "MD": "mod_md",
    "Perl": "mod_perl",
    "PHP_": "mod_php",
    "ProxyExpress": "mod_proxy_express",
    "ProxyFCGI": "mod_proxy_fcgi",
    "ProxyFtp": "mod_proxy_ftp",
    "ProxyHTML": "mod_proxy_html",
    "ProxyWebsocket": "mod_proxy_wstunnel",
    "QS_": "mod_qos",
    "RemoteIP": "mod_remoteip",
    "Rewrite": "mod_rewrite",
    "SSI": "mod_include",
    "SSL": "mod_ssl",
    "Sec": "mod_security2",
    "Session": "mod_session",
    "Substitute": "mod_substitute",
    "Virtual": "mod_vhost_alias",
    "WSGI": "mod_wsgi",
    "xml2": "mod_xml2enc",
}
"""Modules with a name for all their directives."""

_MODULES = {name.lower(): module for module, names in _NAMES.items() for name in names.split()}
_HINT_OF = {name.lower(): hint for name, hint in _HINTS.items()}
_FOLDED_PREFIXES = {prefix.lower(): module for prefix, module in _PREFIXES.items()}


def explain_unsupported(name: str, *, by_prefix: bool) -> str:
    """What to say of a directive of Apache (or of a well-known module) that is not in the table;
    empty for a name that is none of them. `by_prefix` also takes a name that merely begins like
    those of some module."""
    folded = name.lower()
    module = _MODULES.get(folded)
    if module is None and by_prefix:
        fitting = [prefix for prefix in _FOLDED_PREFIXES if folded.startswith(prefix)]
        module = _FOLDED_PREFIXES[max(fitting, key=len)] if fitting else None
    if module is None:
        return ""
    hint = TLS_HINT if module == "mod_ssl" else _HINT_OF.get(folded, "")
    return f"a directive of {module} that is not supported here" + (f"; {hint}" if hint else "")
