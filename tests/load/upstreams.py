"""The upstream: one nginx that serves the same paths over each kind of connection, and logs the protocol of each request."""

import dataclasses
import http.client
import os
import pathlib
import shutil
import subprocess
import tempfile

import nginx
from processes import Process, free_port

PATH = "/api/bench/v1/"
MIB = 1024 * 1024
DOWNLOAD, UPLOAD = 512, 256  # MiB
SYSTEM_ROOTS = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")
ECHO_MODULE = pathlib.Path("/usr/lib/nginx/modules/ngx_http_echo_module.so")  # of Debian's libnginx-mod-http-echo


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of connection between a proxy and its upstream."""
    title: str
    scheme: str
    protocol: str  # as nginx's $server_protocol names it


KINDS = {
    "h2": Kind("TLS 1.3 with HTTP/2", "https", "HTTP/2.0"),
    "h1": Kind("TLS 1.3 with HTTP/1.1", "https", "HTTP/1.1"),
    "plain": Kind("plain HTTP/1.1", "http", "HTTP/1.1"),
}


class Upstream:
    """Reads a request body to its end before it responds, as services do, with the echo module, as nginx's own `return`
    responds at once. Bodies stay in memory, so that no disk is measured."""

    def __init__(self, stack, folder):
        self.folder = folder
        self.ports = {kind: free_port() for kind in KINDS}
        self.probes, self.probes_read = folder / "probes.log", 0
        self.make_files()
        self.make_certificate()
        status_port = free_port()
        config = folder / "upstream.conf"
        config.write_text(self.config(memory_folder(stack, folder), status_port))
        log = folder / "upstream.log"
        self.process = Process(stack, "upstream", ["nginx", "-c", config, "-e", log], status_port, log)
        # One connection for all status requests, so that they do not change the count.
        self.status = http.client.HTTPConnection("127.0.0.1", status_port, timeout=10)

    def make_files(self):
        self.files = self.folder / "files"
        self.files.mkdir()
        (self.files / "response").write_bytes(os.urandom(64 * 1024))
        for size in {DOWNLOAD, UPLOAD}:
            with open(self.large_file(size), "wb") as large:
                large.truncate(size * MIB)

    def large_file(self, size):
        return self.files / f"{size}-MiB"

    def make_certificate(self):
        self.certificate, self.key = self.folder / "upstream.crt", self.folder / "upstream.key"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-days", "2", "-subj", "/CN=localhost", "-addext", "basicConstraints=critical,CA:false",
                        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                        "-keyout", self.key, "-out", self.certificate], check=True, capture_output=True)
        # With the system's roots, which take memory, as in production.
        self.roots = self.folder / "roots.pem"
        system = SYSTEM_ROOTS.read_bytes() if SYSTEM_ROOTS.exists() else b""
        self.roots.write_bytes(system + self.certificate.read_bytes())

    def config(self, bodies, status_port):
        module = f"load_module {ECHO_MODULE};" if ECHO_MODULE.exists() else ""
        return f"""{module}
            {nginx.main_section(self.folder, "upstream")}
            http {{
                {nginx.http_settings(self.folder, "upstream")}
                client_body_temp_path {bodies}; access_log off; sendfile on;
                log_format probe '$server_protocol|$ssl_protocol|$ssl_cipher|$connection|$http_authorization';
                server {{
                    listen 127.0.0.1:{self.ports["h2"]} ssl http2 backlog=1024;
                    listen 127.0.0.1:{self.ports["h1"]} ssl backlog=1024;
                    listen 127.0.0.1:{self.ports["plain"]} backlog=1024;
                    ssl_certificate {self.certificate}; ssl_certificate_key {self.key}; ssl_protocols TLSv1.3;
                    default_type application/json;
                    location = {PATH}small {{ return 200 '{json_of(200)}'; }}
                    location = {PATH}post {{ echo_read_request_body; echo_exec {PATH}small; }}
                    location = {PATH}upload {{ echo_read_request_body; echo_exec {PATH}small; }}
                    location = {PATH}slow {{ echo_sleep 0.1; echo_exec {PATH}small; }}
                    location = {PATH}probe {{ access_log {self.probes} probe; alias {self.files}/response; }}
                    location {PATH} {{ alias {self.files}/; }}
                }}
                server {{ listen 127.0.0.1:{status_port}; location / {{ stub_status; }} }}
            }}"""

    def root_url(self, kind):
        return f"{KINDS[kind].scheme}://127.0.0.1:{self.ports[kind]}"

    def accepted(self):
        """The number of connections that it has accepted."""
        self.status.request("GET", "/")
        # The third line is: accepted, handled, requests.
        return int(self.status.getresponse().read().split(b"\n")[2].split()[0])

    def read_probes(self):
        """The requests for `probe` since the last call, as they were received."""
        lines = self.probes.read_text().splitlines()[self.probes_read:]
        self.probes_read += len(lines)
        return [Probe(*line.split("|")) for line in lines]


@dataclasses.dataclass(frozen=True)
class Probe:
    """A request as the upstream received it."""
    protocol: str
    tls: str
    cipher: str
    connection: str
    authorization: str


def memory_folder(stack, folder):
    """A folder for request bodies, on a file system in memory if there is one."""
    memory = pathlib.Path("/dev/shm")
    bodies = pathlib.Path(tempfile.mkdtemp(prefix="bench-", dir=memory if memory.is_dir() else folder))
    stack.callback(shutil.rmtree, bodies, ignore_errors=True)
    return bodies


def json_of(size):
    return '{"filler":"' + "x" * (size - 13) + '"}'
