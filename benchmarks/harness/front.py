"""nginx in front of a server, with what its upstream was by default until lately: a connection for each request."""

from __future__ import annotations

import os
import shutil
import socket
import time
from pathlib import Path

from benchmarks.harness.serving import ServerFailed, pinned
from tests.real.children import Process, free_port

_READY_SECONDS = 10.0

# One worker: it has the client's core with the client. 1.0 and Connection: close are said by nginx's old default.
_CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 100000000;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_http_version 1.0;
            proxy_set_header Host $host;
            proxy_set_header Connection close;
            proxy_pass http://{upstream};
        }}
    }}
}}
"""


class Front(Process):
    """An nginx on `port` that passes everything on to `upstream`. Use it in a ``with``. Raises `ServerFailed`."""

    def __init__(self, upstream: str, folder: Path, core: int | None) -> None:
        found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
        if found is None:
            raise SystemExit("nginx is not here: `apt install nginx-light`, `brew install nginx`")
        folder.mkdir(exist_ok=True)  # a server may be started several times
        self.port = free_port()
        configuration = folder / "nginx.conf"
        configuration.write_text(_CONFIGURATION.format(folder=folder, port=self.port, upstream=upstream))
        words = [*pinned(core), found, "-p", str(folder), "-c", str(configuration)]
        super().__init__(words, folder, dict(os.environ), output=folder / "nginx.log", own_session=True)
        end = time.monotonic() + _READY_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    said = self.look()[-500:]
                    self.close()
                    raise ServerFailed(f"nginx does not listen: {said}") from None
                time.sleep(0.02)
            else:
                return
