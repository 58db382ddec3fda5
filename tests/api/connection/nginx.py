"""nginx in front of a server, as it stands in front of many: it keeps its connections, forwards `Upgrade`, buffers nothing.

It is there where `nginx` is on the PATH or in /usr/sbin, or STENOPOOL_NGINX names it: Debian's package needs no installation
(`apt-get download nginx`, `dpkg -x`).
"""

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.api.serving import Running
from tests.support.ports import free_port
from tests.support.waiting import wait_until

NGINX = os.environ.get("STENOPOOL_NGINX") or shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
MISSING = "no nginx: apt-get install --no-install-recommends nginx-light"
CONFIGURATION = """
daemon off;
master_process off;
pid {home}/nginx.pid;
error_log {home}/error.log;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    upstream stenopool {{ server 127.0.0.1:{behind}; keepalive 4; }}
    server {{
        listen 127.0.0.1:{port};
        keepalive_requests 1000000;
        location / {{
            proxy_pass http://stenopool;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $http_connection;
            proxy_set_header HTTP2-Settings $http_http2_settings;
            proxy_request_buffering off;
            proxy_buffering off;
        }}
    }}
}}
"""


@contextlib.contextmanager
def behind_nginx(served: Running, home: Path) -> Iterator[Running]:
    """The place where nginx listens."""
    assert NGINX, MISSING
    port = free_port()
    configuration = home / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(home=home, port=port, behind=served.port))
    process = subprocess.Popen([NGINX, "-p", home, "-e", home / "error.log", "-c", configuration])
    try:
        wait_until(lambda: _listens(port))
        yield Running(port)
    finally:
        process.terminate()
        process.wait(300)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=60):
        return True
    return False
