"""The loads: requests of clients to a proxy, and their results."""

import dataclasses
import json
import subprocess
import time

from upstreams import DOWNLOAD, KINDS, PATH, UPLOAD

KIB = 1024
MAX_NEW_CONNECTIONS = 0.05  # upstream connections per request; with more of them they are not reused


@dataclasses.dataclass(frozen=True)
class Requests:
    """Requests by wrk, which keeps `connections` busy for the given time."""
    title: str
    path: str
    response: int  # minimum length in bytes
    body: int = 0
    close: bool = False
    connections: int = 32
    upstreams: tuple = tuple(KINDS)
    unit = "request"

    def run(self, proxy, upstream, seconds):
        script = upstream.folder / "wrk.lua"
        script.write_text((f'wrk.method = "POST"\nwrk.body = string.rep("x", {self.body})\n' if self.body else "") + DONE)
        header = ["--header", "Connection: close"] if self.close else []
        done = subprocess.run(
            ["wrk", "--threads", "1", "--connections", str(self.connections), "--duration", f"{seconds}s",
             "--timeout", "10s", "--script", str(script), *header, f"http://127.0.0.1:{proxy.port}{PATH}{self.path}"],
            check=True, capture_output=True, text=True, timeout=seconds + 60)
        found = json.loads(done.stdout.splitlines()[-1])
        errors = {what: count for what, count in found["errors"].items() if count}
        count = found["requests"]
        if not count:
            return Result(errors=errors or {"no response": 1})
        if found["bytes"] < count * self.response:
            errors["short responses"] = count
        return Result(count, count / found["seconds"], found["p50"], found["p99"], errors)


@dataclasses.dataclass(frozen=True)
class Transfer:
    """One large body, sent or received by curl."""
    title: str
    path: str
    download: int = 0  # MiB
    upload: int = 0
    upstreams: tuple = tuple(KINDS)
    unit = "MiB"

    def run(self, proxy, upstream, _seconds):
        begin = time.monotonic()
        errors = finish_transfer(start_transfer(self, proxy, upstream), self)
        size = self.download + self.upload
        return Result(size, size / (time.monotonic() - begin), errors=errors)


@dataclasses.dataclass
class Result:
    """One run of a load. CPU is in microseconds per request or MiB, latencies are in milliseconds, memory is in MiB."""
    count: int = 0
    rate: float = 0
    p50: float | None = None
    p99: float | None = None
    errors: dict = dataclasses.field(default_factory=dict)
    cpu: float = 0
    peak: float = 0
    connections: int = 0  # new connections to the upstream


def measure(load, proxy, upstream, seconds):
    if proxy.status() is not None:
        return Result(errors={f"process had ended with status {proxy.status()}": 1})
    proxy.reset_peak()
    connections, cpu = upstream.accepted(), proxy.cpu()
    try:
        result = load.run(proxy, upstream, seconds)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        return Result(errors={f"{error}": 1})
    if proxy.status() is not None:
        return Result(errors={f"process ended with status {proxy.status()}": 1})
    if result.count:
        result.cpu = (proxy.cpu() - cpu) / 1000 / result.count
    result.peak = proxy.memory("VmHWM")
    result.connections = upstream.accepted() - connections
    if load.unit == "request" and result.connections > load.connections + result.count * MAX_NEW_CONNECTIONS:
        result.errors["connections not reused"] = result.connections
    proxy.empty_log()
    return result


def start_transfer(transfer, proxy, upstream):
    upload = ["--upload-file", str(upstream.large_file(transfer.upload))] if transfer.upload else []
    return subprocess.Popen(
        # Without Expect, as curl would wait a second for 100 Continue, which HAProxy's upstream does not send.
        ["curl", "--silent", "--show-error", "--max-time", "120", "--output", "/dev/null", "--header", "Expect:", *upload,
         "--write-out", "%{http_code} %{size_download} %{size_upload}", f"http://127.0.0.1:{proxy.port}{PATH}{transfer.path}"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish_transfer(curl, transfer):
    """Waits for the end of the transfer; returns the errors."""
    try:
        output, message = curl.communicate()
    finally:
        curl.kill()
    if curl.returncode:
        return {message.strip() or f"curl ended with {curl.returncode}": 1}
    status, downloaded, uploaded = output.split()
    if status != "200":
        return {f"status {status}": 1}
    if int(downloaded) < transfer.download * KIB * KIB or int(uploaded) < transfer.upload * KIB * KIB:
        return {f"only {downloaded} bytes down and {uploaded} up": 1}
    return {}


# Measured after all other loads, as the proxies keep the memory and the connections of this one for a while.
MANY_CONNECTIONS = "slow"

LOADS = {
    "small": Requests("GET, 200 B response", "small", response=200),
    "post": Requests("POST of 1 KiB", "post", response=200, body=KIB),
    "response": Requests("GET, 64 KiB response", "response", response=64 * KIB),
    "download": Transfer(f"download of {DOWNLOAD} MiB", f"{DOWNLOAD}-MiB", download=DOWNLOAD),
    "upload": Transfer(f"upload of {UPLOAD} MiB", "upload", upload=UPLOAD),
    "small-close": Requests("GET, 200 B response, new connection per request", "small", response=200, close=True, upstreams=("h2",)),
    "post-close": Requests("POST of 1 KiB, new connection per request", "post", response=200, body=KIB, close=True, upstreams=("h2",)),
    MANY_CONNECTIONS: Requests("500 GETs at once, 100 ms each", "slow", response=200, connections=500),
}

# wrk's own output is rounded, and has one line for all socket errors.
DONE = """
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"seconds":%.6f,"bytes":%d,"p50":%.3f,"p99":%.3f,"errors":' ..
    '{"connect errors":%d,"read errors":%d,"write errors":%d,"timeouts":%d,"other than 2xx and 3xx":%d}}\\n',
    summary.requests, summary.duration / 1e6, summary.bytes,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.connect, errors.read, errors.write, errors.timeout, errors.status))
end
"""
