"""The words of other servers, and what stands for each here: whoever comes from one of them types its options.

What lives here: one table, from which messages and docs/coming.md are made. What may not: our own options, which never
come here. Names are those of gunicorn 27, uWSGI 2.0, waitress 3, granian 2, uvicorn 0.54, hypercorn 0.18, and of
Django's runserver and Flask's flask run, which are "develop" here. Called in the main thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

#: Whose words there are, as the table has them, and as people write them.
SERVERS: Final = {
    **{name: name for name in ("gunicorn", "uWSGI", "waitress", "granian", "uvicorn", "hypercorn")},
    "develop": "runserver, flask run",
}

# For each section what is to be said of options, and they, behind the name of their server. What is said begins
# with "it is", "instead,", or "there is no such thing".
_TABLE: Final[dict[str, list[tuple[str, str]]]] = {
    "The application": [
        (
            "it is the last word, or --app: MOD:APP, as mysite.wsgi:application",
            "uWSGI --module --wsgi --wsgi-file --file --callable, develop -A",
        ),
        (
            "it is in the application's name: --app 'MOD:FACTORY()'",
            "waitress --call, granian --factory --no-factory, uvicorn --factory",
        ),
        (
            "it is --script-name PATH",
            "gunicorn --root-path, uWSGI --manage-script-name, waitress --url-prefix, granian "
            "--url-path-prefix, uvicorn --root-path, hypercorn --root-path",
        ),
        (
            "instead, name a module that calls paste.deploy.loadapp",
            "gunicorn --paste --paster --paste-global, uWSGI --paste --ini-paste --ini-paste-logged --paste-logger",
        ),
        (
            "it is --chdir DIR",
            "uWSGI --chdir2, granian --working-dir",
        ),
        (
            "instead, set PYTHONPATH; modules of the directory that it is started in are found without",
            "gunicorn --pythonpath, uWSGI --pythonpath --python-path --pp, uvicorn --app-dir, develop --pythonpath",
        ),
        ("instead, start it by the python of that environment", "uWSGI --home -H --virtualenv --venv --pyhome"),
        (
            "instead, --env NAME=VALUE, or set variables where it is started: shell, systemd's EnvironmentFile=",
            "granian --env-files, uvicorn --env-file, develop --env-file -e",
        ),
        (
            "it is --env NAME=VALUE",
            "gunicorn -e",
        ),
        ("instead, set DJANGO_SETTINGS_MODULE", "develop --settings"),
        ("it is --config FILE, in TOML", "uWSGI --ini --yaml --yml --xml --json -y -x -j"),
        ("it is --check-config", "gunicorn --print-config, uWSGI --show-config"),
        ("it is --version", "gunicorn -v"),
        (
            "there is no such thing: this serves WSGI, and nothing else",
            "gunicorn --asgi-loop --asgi-lifespan --asgi-disconnect-grace-period, granian --interface --task-impl, "
            "uvicorn --interface --lifespan",
        ),
        ("it is --context request", "uvicorn --reset-contextvars"),
    ],
    "Where to listen": [
        (
            "it is --bind HOST:PORT, or --port PORT for every interface",
            "waitress --host, granian --host, uvicorn --host, hypercorn --insecure-bind, develop --host",
        ),
        (
            "it is --bind HOST:PORT, or --listen unix:PATH:mode=660, or --port PORT for every interface",
            "uWSGI --http --http-socket --http11-socket",
        ),
        ("it is --listen unix:PATH:mode=660", "waitress --unix-socket, granian --uds, uvicorn --uds"),
        (
            "it is in the endpoint: --listen unix:PATH:mode=660",
            "uWSGI --chmod-socket -C, waitress --unix-socket-perms, granian --uds-permissions",
        ),
        ("it is --umask", "gunicorn -m, hypercorn -m"),
        (
            "instead, systemd's .socket unit has SocketUser= and SocketGroup= (--listen systemd:domain=UNIX:index=0)",
            "uWSGI --chown-socket",
        ),
        ("it is --listen systemd:domain=INET:index=0, and systemd's protocol", "uvicorn --fd"),
        (
            "it is --bind '[::1]:8000' or --listen tcp6:8000 for IPv6, tcp:8000 for IPv4",
            "waitress --ipv4 --no-ipv4 --ipv6 --no-ipv6, develop --ipv6 -6",
        ),
        (
            "there is no such thing: HTTP is spoken, so in nginx it is proxy_pass, not uwsgi_pass",
            "gunicorn --protocol --uwsgi-allow-from, uWSGI --socket -s --uwsgi-socket --fastcgi-socket --scgi-socket "
            "--protocol",
        ),
        ("there is no such thing: all workers take from one socket", "gunicorn --reuse-port, uWSGI --reuse-port"),
        (
            "there is no such thing: HTTP/1.1 is spoken; a proxy in front speaks HTTP/2 and 3 to clients",
            "gunicorn --http-protocols --http2-cleartext --http2-max-concurrent-streams --http2-initial-window-size "
            "--http2-max-frame-size --http2-max-header-list-size, granian --http --http2-adaptive-window "
            "--no-http2-adaptive-window --http2-initial-connection-window-size --http2-initial-stream-window-size "
            "--http2-keep-alive-interval --http2-keep-alive-timeout --http2-max-concurrent-streams "
            "--http2-max-frame-size --http2-max-headers-size --http2-max-send-buffer-size, uvicorn --http2, hypercorn "
            "--quic-bind",
        ),
        (
            "there is no such thing: a WebSocket is a mounted resource's, or the application's own, and so are its "
            "limits and pings (docs/websockets.md)",
            "gunicorn --websocket-max-message-size, uWSGI --http-websockets, granian --ws --no-ws, uvicorn --ws "
            "--ws-max-size --ws-max-queue --ws-ping-interval --ws-ping-timeout --ws-per-message-deflate, hypercorn "
            "--websocket-ping-interval",
        ),
        ("there is no such thing: one parser, the server's own", "gunicorn --http-parser, uvicorn --http"),
    ],
    "TLS": [
        (
            "it is --tls-cert FILE and --tls-key FILE",
            "gunicorn --certfile --keyfile, uWSGI --https --https2 --https-socket, granian --ssl-certificate "
            "--ssl-keyfile, uvicorn --ssl-certfile --ssl-keyfile, hypercorn --certfile --keyfile, develop --cert "
            "--key",
        ),
        (
            "it is --tls-client-ca FILE; if a client needs no certificate, in the endpoint: --listen "
            "ssl:443:privateKey=key.pem:certKey=cert.pem:clientCA=ca.pem:clientVerify=optional",
            "gunicorn --cert-reqs --ca-certs, granian --ssl-ca --ssl-client-verify --no-ssl-client-verify, uvicorn "
            "--ssl-cert-reqs --ssl-ca-certs, hypercorn --ca-certs --cert-reqs --verify-mode",
        ),
        (
            "it is --tls-passphrase-file FILE",
            "granian --ssl-keyfile-password, uvicorn --ssl-keyfile-password, hypercorn --keyfile-password",
        ),
        ("it is --tls-min 1.2 or 1.3", "gunicorn --ssl-version, granian --ssl-protocol-min, uvicorn --ssl-version"),
        (
            "instead, --tls-min; or embed the service with an endpoint of your own (docs/embedding.md)",
            "gunicorn --ciphers --suppress-ragged-eofs --do-handshake-on-connect, granian --ssl-crl, uvicorn "
            "--ssl-ciphers, hypercorn --ciphers",
        ),
    ],
    "Processes and threads": [
        ("it is --workers", "uWSGI --processes"),
        ("it is --threads", "granian --blocking-threads"),
        ("it is --threads-idle", "granian --blocking-threads-idle-timeout"),
        (
            "there is no such thing: threads are always there; --threads 1 for one request at a time",
            "uWSGI --enable-threads -T --single-interpreter -i --no-threads-wait, develop --nothreading "
            "--with-threads --without-threads",
        ),
        (
            "there is no such thing: connections are a reactor's (--reactor; asyncio runs on uvloop), and requests "
            "are run by --threads",
            "gunicorn --worker-class -k, uWSGI --gevent --async --loop --ugreen --offload-threads, waitress "
            "--asyncore-loop-timeout --asyncore-use-poll, granian --loop --runtime-mode --runtime-threads "
            "--runtime-blocking-threads, uvicorn --loop, hypercorn --worker-class -k",
        ),
        ("there is no such thing: with --workers a parent is always there", "uWSGI --master -M"),
        (
            "there is no such thing: SIGTTIN and SIGTTOU change the number of workers, and --threads-max lets threads "
            "come and go",
            "uWSGI --cheaper --cheaper-initial --cheaper-step --cheaper-algo --cheap --idle",
        ),
        (
            "it is always so",
            "gunicorn --initgroups --capture-output --enable-stdio-inheritance -R, uWSGI --lazy --lazy-apps "
            "--die-on-term --vacuum --need-app --no-orphans --thunder-lock --strict --ignore-sigpipe "
            "--ignore-write-errors --disable-write-exception, waitress --channel-request-lookahead, granian "
            "--respawn-failed-workers --no-respawn-failed-workers, uvicorn --date-header",
        ),
        (
            "instead, --request-timeout answers 504 for a slow application, and --watchdog kills a worker process "
            "that is stuck",
            "gunicorn --timeout -t, uWSGI --harakiri -t",
        ),
        ("it is --watchdog", "uvicorn --timeout-worker-healthcheck"),
        (
            "instead, SIGUSR2 shows the stack of every thread, and --stall those of a stuck process",
            "gunicorn --spew, uWSGI --harakiri-verbose --py-tracebacker",
        ),
        (
            "it is --grace",
            "gunicorn --graceful-timeout, uWSGI --reload-mercy --worker-reload-mercy, granian --workers-kill-timeout, "
            "uvicorn --timeout-graceful-shutdown, hypercorn --graceful-timeout",
        ),
        ("it is --max-requests", "uvicorn --limit-max-requests"),
        (
            "there is no such thing: --max-requests is spread by a tenth anyway",
            "gunicorn --max-requests-jitter, uWSGI --max-requests-delta, uvicorn --limit-max-requests-jitter, "
            "hypercorn --max-requests-jitter",
        ),
        (
            "it is --max-rss SIZE, as 300m",
            "uWSGI --reload-on-rss --evil-reload-on-rss --reload-on-as --limit-as, granian --workers-max-rss",
        ),
        (
            "it is --max-worker-age SECONDS",
            "uWSGI --max-worker-lifetime, granian --workers-lifetime",
        ),
        (
            "there is no such thing: --max-requests and --max-rss replace a worker, however old it is",
            "uWSGI --min-worker-lifetime",
        ),
        (
            "there is no such thing: nothing here needs it",
            "gunicorn --worker-tmp-dir, waitress --cleanup-interval --recv-bytes --send-bytes, granian "
            "--respawn-interval --rss-sample-interval --rss-samples --http1-pipeline-flush --no-http1-pipeline-flush",
        ),
        (
            "it is --name NAME, with setproctitle",
            "gunicorn -n, uWSGI --procname --procname-prefix --procname-master --auto-procname, granian --process-name",
        ),
        ("it is --user", "gunicorn -u, uWSGI --uid, hypercorn -u"),
        ("it is --group", "gunicorn -g, uWSGI --gid, hypercorn -g"),
        (
            "it is --daemon, if no service manager starts it",
            "gunicorn -D, uWSGI --daemonize -d --daemonize2, hypercorn -D",
        ),
        (
            "it is --pidfile FILE",
            "uWSGI --pidfile2 --safe-pidfile, granian --pid-file",
        ),
        (
            "there is no such thing: this serves one application; other programs are for the service manager, or a "
            "task queue",
            "gunicorn --dirty-app --dirty-workers --dirty-timeout --dirty-threads --dirty-graceful-timeout, uWSGI "
            "--emperor --attach-daemon --smart-attach-daemon --mule --mules --spooler --spooler-processes --cron "
            "--cron2 --cache --cache2 --plugin --plugins --zerg",
        ),
        (
            "instead, twisted-wsgiref stop, reload and workers, with --pidfile FILE",
            "uWSGI --stop, gunicorn --control-socket --control-socket-mode --no-control-socket",
        ),
        ("instead, SIGHUP reloads", "uWSGI --touch-reload --touch-chain-reload --touch-workers-reload"),
    ],
    "Limits and deadlines": [
        ("it is --max-request-line", "gunicorn --limit-request-line"),
        ("it is --max-fields", "gunicorn --limit-request-fields"),
        ("it is --max-field", "gunicorn --limit-request-field-size"),
        (
            "it is --max-head",
            "uWSGI --buffer-size, waitress --max-request-header-size, granian --http1-buffer-size, uvicorn "
            "--h11-max-incomplete-event-size",
        ),
        ("it is --max-body", "uWSGI --limit-post, waitress --max-request-body-size"),
        ("it is --body-memory", "uWSGI --post-buffering, waitress --inbuf-overflow"),
        ("it is --high-water", "waitress --outbuf-high-watermark"),
        ("there is no such thing: at most --high-water of an answer waits, in memory", "waitress --outbuf-overflow"),
        ("it is --max-connections", "gunicorn --worker-connections, waitress --connection-limit"),
        (
            "it is --queue, for requests that wait for a thread, and --max-connections",
            "granian --backpressure, uvicorn --limit-concurrency",
        ),
        (
            "it is --keep-alive SECONDS; 0 for none",
            "uWSGI --http-keepalive, waitress --channel-timeout, granian --http1-keep-alive --no-http1-keep-alive, "
            "uvicorn --timeout-keep-alive",
        ),
        ("it is --head-timeout SECONDS", "uWSGI --http-headers-timeout, granian --http1-header-read-timeout"),
        (
            "instead, --head-timeout, --body-rate and --send-timeout",
            "uWSGI --http-timeout --socket-timeout -z, hypercorn --read-timeout",
        ),
        (
            "there is no such thing: the grammar is RFC 9112's, without leniency",
            "gunicorn --permit-obsolete-folding --strip-header-spaces --permit-unconventional-http-method "
            "--permit-unconventional-http-version --casefold-http-method --header-map",
        ),
    ],
    "Behind a proxy": [
        (
            "it is --trusted-proxy NETWORK; nobody is believed unless named",
            "gunicorn --forwarded-allow-ips --proxy-allow-from, uvicorn --forwarded-allow-ips --proxy-headers "
            "--no-proxy-headers",
        ),
        (
            "there is no such thing: with --trusted-proxy the client is the right-most hop that is not trusted, and "
            "all of X-Forwarded-* and Forwarded are read",
            "gunicorn --forwarder-headers, waitress --trusted-proxy-count --trusted-proxy-headers "
            "--clear-untrusted-proxy-headers --log-untrusted-proxy-headers",
        ),
        ("it is --proxy-protocol", "uWSGI --enable-proxy-protocol --http-enable-proxy-protocol"),
        ("instead, the proxy says X-Forwarded-Proto, and --trusted-proxy names it", "waitress --url-scheme"),
        (
            "there is no such thing: which hosts are served is the application's to say, or the proxy's",
            "hypercorn --server-name",
        ),
    ],
    "What is sent, and logs": [
        ("it is --server-header NAME; '' for none", "waitress --ident, uvicorn --no-server-header"),
        (
            "there is no such thing: headers are the application's, or the proxy's",
            "uWSGI --add-header --del-header --rem-header, uvicorn --header --no-date-header",
        ),
        (
            "it is --mount /prefix=static:DIR, with index.html as the page of a directory",
            "uWSGI --static-map --static-map2 --static-index, granian --static-path-route --static-path-mount "
            "--static-path-dir-to-file",
        ),
        ("it is --static-max-age SECONDS", "uWSGI --static-expires, granian --static-path-expires"),
        (
            "there is no such thing: files are served where --mount /prefix=static:DIR says",
            "uWSGI --check-static, develop --nostatic --insecure",
        ),
        (
            "there is no such thing: a file that the application gives to wsgi.file_wrapper is sent by sendfile, no "
            "other",
            "gunicorn --no-sendfile, uWSGI --disable-sendfile --wsgi-disable-file-wrapper",
        ),
        (
            "it is --access-log FILE, with - for standard output",
            "gunicorn --access-logfile, uWSGI --req-logger, hypercorn --access-logfile",
        ),
        ("it is --access-log off", "uWSGI --disable-logging -L, granian --no-access-log, uvicorn --no-access-log"),
        (
            "it is --access-log-format: combined, json, or a format in gunicorn's atoms",
            "gunicorn --access-logformat, uWSGI --logformat, granian --access-log-fmt, hypercorn --access-logformat",
        ),
        (
            "instead, redirect standard error, which the log is written to: 2>>FILE; or twistd --logfile FILE wsgiref",
            "gunicorn --error-logfile --log-file, uWSGI --logto --logto2 --logger --log-master, granian "
            "--no-log, hypercorn --error-logfile --log-file --error-log",
        ),
        (
            "instead, the application sets up logging; the server's own log has --log-format and --log-level",
            "gunicorn --logger-class --log-config --log-config-json, granian --log-config, uvicorn --log-config "
            "--use-colors --no-use-colors, hypercorn --log-config",
        ),
        (
            "it is --access-log syslog:HOST:PORT,facility=NAME,tag=NAME, or syslog: for /dev/log; for the other log "
            "twistd has it: twistd --syslog wsgiref",
            "gunicorn --log-syslog --log-syslog-to --log-syslog-prefix --log-syslog-facility "
            "--disable-redirect-access-to-syslog, uWSGI --log-syslog",
        ),
        (
            "there is no such thing: no client sees a traceback, the log has each",
            "waitress --expose-tracebacks --no-expose-tracebacks --log-socket-errors --no-log-socket-errors",
        ),
        ("it is --statsd HOST:PORT", "gunicorn --statsd-host, hypercorn --statsd-host"),
        (
            "it is --status ENDPOINT, as tcp:9180:interface=127.0.0.1, and then /metrics or /status.json there",
            "uWSGI --stats --stats-server --stats-http, granian --metrics --metrics-address --metrics-port",
        ),
        (
            "there is no such thing: the metrics are those of docs/metrics.md, as they are when they are asked for",
            "gunicorn --dogstatsd-tags --enable-backlog-metric, granian --no-metrics --metrics-scrape-interval",
        ),
    ],
    "While developing": [
        ("it is --reload", "uWSGI --py-autoreload --py-auto-reload --python-autoreload --python-auto-reload"),
        ("it is --no-reload, and the default", "develop --noreload"),
        ("it is --reload-include PATTERN, as '*.html'", "gunicorn --reload-extra-file, develop --extra-files"),
        (
            "it is --reload-dir DIR, for each directory besides the one that it is started in",
            "granian --reload-paths",
        ),
        (
            "there is no such thing: --reload watches the directory that it is started in, and those of --reload-dir",
            "gunicorn --reload-engine, granian --reload-tick --reload-ignore-dirs "
            "--reload-ignore-paths --reload-ignore-patterns --reload-ignore-worker-failure "
            "--no-reload-ignore-worker-failure, uvicorn --reload-exclude --reload-delay, develop --exclude-patterns",
        ),
        (
            "there is no such thing: --reload is for developing, and a page with the traceback is the framework's",
            "hypercorn --debug, develop --debug --debugger --no-debugger --no-debug",
        ),
    ],
}


class Meaning(NamedTuple):
    """What is to be said (`say`) of other servers' options: for each server its `words`."""

    section: str
    say: str
    words: dict[str, list[str]]


def meanings() -> Iterator[Meaning]:
    """Yield the whole table."""
    for section, rows in _TABLE.items():
        for say, text in rows:
            parts = [part.split() for part in text.split(", ")]
            yield Meaning(section, say, {server: words for server, *words in parts})


def _all() -> dict[str, dict[str, list[str]]]:
    """Return for each word what is to be said of it, and of which servers."""
    found: dict[str, dict[str, list[str]]] = {}
    for _, say, servers in meanings():
        for server, words in servers.items():
            for word in words:
                found.setdefault(word, {}).setdefault(say, []).append(SERVERS[server])
    return found


def translated(word: str) -> str:
    """Return what stands here for other servers' option `word` (``--like-this`` or ``-x``); "" for a word of none."""
    known = _all().get(word, {})
    if len(known) > 1:
        return "; ".join(f"{' and '.join(servers)}'s: {say}" for say, servers in known.items())
    return "".join(f"here {say}" if say.startswith("it is") else say for say in known)
