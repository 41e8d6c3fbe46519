"""The proxies that are measured, each in front of an upstream: builds of this project, nginx and HAProxy."""

import http.client
import time

import nginx
from processes import Process, fail, free_port
from upstreams import KINDS, PATH

PEERS = ["nginx", "HAProxy"]
MAX_CONNECTIONS = 6000
IDLE = 45  # seconds for which idle upstream connections are kept, the default of this project's proxy
PROBES = 40


def start_proxy(stack, folder, upstream, kind, name, options):
    """Starts a proxy as one process, with its own log file."""
    files = folder / f"{kind}-{name}-{free_port()}"
    start = {"nginx": start_nginx, "HAProxy": start_haproxy}.get(name)
    if start:
        return start(stack, files, upstream, kind, options.tune_peers)
    return start_build(stack, files, upstream, kind, name, options.binaries[name])


def start_build(stack, files, upstream, kind, name, binary):
    """Starts a build with the default options (log level info, replay buffer) and the admin listener."""
    port, admin = free_port(), free_port()
    environment = {
        "TASKCLUSTER_ROOT_URL": upstream.root_url(kind),
        "TASKCLUSTER_CLIENT_ID": "tester",
        "TASKCLUSTER_ACCESS_TOKEN": "no-secret",
        "SSL_CERT_FILE": str(upstream.roots),
    }
    command = [binary, "--ip-address", "127.0.0.1", "--port", port, "--admin", f"127.0.0.1:{admin}",
               "--log-level", "info", "--max-connections", MAX_CONNECTIONS]
    return Process(stack, name, command, port, files.with_suffix(".log"), environment)


def start_nginx(stack, files, upstream, kind, tuned):
    """Starts nginx, which as a proxy only uses HTTP/1.1. It streams, as buffering would write large bodies to a disk."""
    buffers = "proxy_buffer_size 64k; proxy_buffers 8 64k; proxy_busy_buffers_size 128k;" if tuned else ""
    port, log, config = free_port(), files.with_suffix(".log"), files.with_suffix(".conf")
    tls = f"""proxy_ssl_protocols TLSv1.3; proxy_ssl_verify on; proxy_ssl_name localhost; proxy_ssl_server_name on;
        proxy_ssl_trusted_certificate {upstream.roots};""" if KINDS[kind].scheme == "https" else ""
    config.write_text(f"""
        {nginx.main_section(files.parent, files.name)}
        http {{
            {nginx.http_settings(files.parent, files.name)}
            client_body_temp_path {files}.body; access_log {log};
            upstream upstream {{
                server 127.0.0.1:{upstream.ports[kind]};
                keepalive 512; keepalive_requests {nginx.FOREVER}; keepalive_timeout {IDLE}s;
            }}
            server {{
                listen 127.0.0.1:{port} backlog=1024;
                location / {{
                    proxy_pass {KINDS[kind].scheme}://upstream; proxy_http_version 1.1; proxy_set_header Connection "";
                    proxy_buffering off; proxy_request_buffering off;
                    {buffers} {tls}
                }}
            }}
        }}""")
    return Process(stack, "nginx", ["nginx", "-c", config, "-e", log], port, log)


def start_haproxy(stack, files, upstream, kind, tuned):
    port, config = free_port(), files.with_suffix(".cfg")
    tls = f"ssl verify required ca-file {upstream.roots} verifyhost localhost ssl-min-ver TLSv1.3" \
        if KINDS[kind].scheme == "https" else ""
    buffers = "tune.bufsize 65536\n    tune.h2.initial-window-size 1048576" if tuned else ""
    alpn = {"h2": "alpn h2", "h1": "alpn http/1.1"}.get(kind, "")
    config.write_text(f"""
global
    nbthread 1
    maxconn {MAX_CONNECTIONS}
    log stdout format raw local0 info
    {buffers}
defaults
    mode http
    log global
    option httplog
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout http-keep-alive 60s
    option http-keep-alive
    http-reuse always
listen bench
    bind 127.0.0.1:{port} backlog 1024
    server upstream 127.0.0.1:{upstream.ports[kind]} pool-max-conn 512 pool-purge-delay {IDLE}s {tls} {alpn}
""")
    return Process(stack, "HAProxy", ["haproxy", "-db", "-f", config], port, files.with_suffix(".log"))


def check_protocol(proxy, kind, upstream, signs):
    """Ends the benchmark unless the proxy uses the protocol of `kind`, signs as expected and reuses its connection."""
    upstream.read_probes()
    proxy.empty_log()
    client = connect(proxy)
    for _ in range(PROBES):
        fetch(proxy, client, "probe")
    client.close()
    expected = {
        "protocol": "HTTP/1.1" if proxy.name == "nginx" else KINDS[kind].protocol,
        "TLS": "TLSv1.3" if KINDS[kind].scheme == "https" else "-",
        "requests": PROBES,
        "connections": 1,
        "signed requests": PROBES if signs else 0,
        "log lines": PROBES,
    }
    # Both logs are written after the response was sent.
    probes, deadline = [], time.monotonic() + 5
    while True:
        probes += upstream.read_probes()
        found = {
            "protocol": " and ".join(sorted({probe.protocol for probe in probes})),
            "TLS": " and ".join(sorted({probe.tls for probe in probes})),
            "requests": len(probes),
            "connections": len({probe.connection for probe in probes}),
            "signed requests": sum(probe.authorization.startswith("Hawk ") for probe in probes),
            "log lines": proxy.log.read_text(errors="replace").count(PATH + "probe "),
        }
        if found == expected:
            return probes[0].cipher
        if time.monotonic() > deadline:
            fail(f"{proxy.name} over {KINDS[kind].title}: expected {expected}, found {found}")
        time.sleep(0.01)


def connect(proxy):
    return http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)


def fetch(proxy, client, name):
    """Sends a request and keeps the connection open. Ends the benchmark unless the response is 200."""
    try:
        client.request("GET", PATH + name)
        response = client.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        fail(f"{proxy.name}: expected a response to GET {PATH}{name} within 10 s, found {error!r}")
    if response.status != 200:
        fail(f"{proxy.name}: expected 200 to GET {PATH}{name}, found {response.status}: {body[:200]!r}")
