"""The configuration that comes with Debian's package apache2, in short."""

from __future__ import annotations

from pathlib import Path

from tests.config.loading import write

MAIN = """
    DefaultRuntimeDir ${APACHE_RUN_DIR}
    PidFile ${APACHE_PID_FILE}
    Timeout 300
    KeepAlive On
    MaxKeepAliveRequests 100
    KeepAliveTimeout 5
    User ${APACHE_RUN_USER}
    Group ${APACHE_RUN_GROUP}
    HostnameLookups Off
    ErrorLog ${APACHE_LOG_DIR}/error.log
    LogLevel warn
    IncludeOptional mods-enabled/*.load
    IncludeOptional mods-enabled/*.conf
    Include ports.conf
    <Directory />
        Options FollowSymLinks
        AllowOverride None
        Require all denied
    </Directory>
    <Directory ${ROOT}/>
        Options Indexes FollowSymLinks
        AllowOverride None
        Require all granted
    </Directory>
    #<Directory /srv/>
    #    Require all granted
    #</Directory>
    AccessFileName .htaccess
    <FilesMatch "^\\.ht">
        Require all denied
    </FilesMatch>
    LogFormat "%v:%p %h %l %u %t \\"%r\\" %>s %O \\"%{Referer}i\\" \\"%{User-Agent}i\\"" vhost_combined
    LogFormat "%h %l %u %t \\"%r\\" %>s %O \\"%{Referer}i\\" \\"%{User-Agent}i\\"" combined
    LogFormat "%h %l %u %t \\"%r\\" %>s %O" common
    LogFormat "%{Referer}i -> %U" referer
    LogFormat "%{User-agent}i" agent
    IncludeOptional conf-enabled/*.conf
    IncludeOptional sites-enabled/*.conf
"""
"""/etc/apache2/apache2.conf, but for its comments and with another DocumentRoot."""

FILES = {
    "ports.conf": """
        Listen 80
        <IfModule ssl_module>
            Listen 443
        </IfModule>
        """,
    "mods-enabled/alias.load": "LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so",
    "mods-enabled/deflate.conf": """
        <IfModule mod_filter.c>
            AddOutputFilterByType DEFLATE text/html text/plain text/xml text/css
        </IfModule>
        """,
    "mods-enabled/mime.conf": """
        TypesConfig /etc/mime.types
        AddType application/x-gzip .gz .tgz
        AddLanguage en .en
        AddCharset us-ascii .ascii .us-ascii
        AddHandler type-map var
        AddType text/html .shtml
        """,
    "mods-enabled/negotiation.conf": "LanguagePriority en ca\nForceLanguagePriority Prefer Fallback",
    "mods-enabled/status.conf": """
        <Location /server-status>
            SetHandler server-status
            Require local
        </Location>
        ExtendedStatus On
        """,
    "conf-enabled/other-vhosts-access-log.conf": (
        "CustomLog ${APACHE_LOG_DIR}/other_vhosts_access.log vhost_combined"
    ),
    "conf-enabled/security.conf": "ServerTokens OS\nServerSignature On\nTraceEnable Off",
    "sites-enabled/000-default.conf": """
        <VirtualHost *:80>
            ServerAdmin webmaster@localhost
            DocumentRoot ${ROOT}
            ErrorLog ${APACHE_LOG_DIR}/error.log
            CustomLog ${APACHE_LOG_DIR}/access.log combined
        </VirtualHost>
        """,
}
"""What `MAIN` includes."""


def write_files(folder: Path) -> None:
    """Put what `MAIN` includes into `folder`."""
    for name, text in FILES.items():
        write(folder, name, text)


def defines(folder: Path) -> dict[str, str]:
    """What Debian's start script sets, and the DocumentRoot."""
    names = ("APACHE_RUN_DIR", "APACHE_PID_FILE", "APACHE_RUN_USER", "APACHE_RUN_GROUP")
    return dict.fromkeys(names, "x") | {"APACHE_LOG_DIR": str(folder), "ROOT": str(folder)}
