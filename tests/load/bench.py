#!/usr/bin/env python3
"""The proxy beside nginx and HAProxy, under the same loads in turn, round by round.

    cargo build --release && tests/load/bench.py [--rounds 5] [--seconds 4] [--only small,post]

Needs Debian's nginx-light, haproxy, wrk and curl. All of it runs on 127.0.0.1 and ends by itself.
Prints CPU time per request (from the kernel's accounting of each process), requests per second,
latency, memory, and the ratio to the better of nginx and HAProxy; writes docs/performance.md and
docs/performance.svg. Absolute times mean little on a shared machine: read the ratios.
"""

import argparse
import contextlib
import datetime
import os
import pathlib
import platform
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SIZE = 512  # MiB, of the large bodies
CONNECTIONS = 32
PATH = "/api/bench/v1/"
PEERS = ["nginx", "haproxy"]
ALL = ["ours", *PEERS]

# name: what it is, per what CPU is counted, the target for the ratio
LOADS = {
    "small": ("GET, 200 bytes of JSON", "request", 1.0),
    "post": ("POST of 1 KiB", "request", 1.0),
    "answer": ("GET, 64 KiB", "request", 1.0),
    "download": (f"download of {SIZE} MiB", "MiB", 1.0),
    "upload": (f"upload of {SIZE} MiB", "MiB", 1.0),
    # The last of a round: what memory it needs is not all given back.
    "slow": ("500 at once, 100 ms each", "request", None),
}


def main():
    options = parse()
    missing = [tool for tool in ["nginx", "haproxy", "wrk", "curl"] if not shutil.which(tool)]
    if missing:
        sys.exit(f"bench.py: missing {', '.join(missing)}: apt-get install nginx-light haproxy wrk curl")
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        bench = Bench(pathlib.Path(folder), options, stack)
        bench.start()
        idle = {name: bench.memory(name, "VmRSS") for name in ALL}
        results = bench.rounds()
        report(options, results, idle, bench.peaks, bench.start_times)


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often each load is run [5]")
    parser.add_argument("--seconds", type=int, default=4, help="how long each run of wrk lasts [4]")
    parser.add_argument("--only", default=",".join(LOADS), help="loads, separated by commas [all]")
    parser.add_argument("--binary", default=ROOT / "target/release/taskcluster-proxy", type=pathlib.Path)
    parser.add_argument("--no-report", action="store_true", help="print, but write no files")
    options = parser.parse_args()
    options.loads = options.only.split(",")
    unknown = set(options.loads) - set(LOADS)
    if unknown:
        sys.exit(f"bench.py: expected loads among {', '.join(LOADS)}, found {', '.join(unknown)}")
    if not options.binary.exists():
        sys.exit(f"bench.py: {options.binary} is not there: cargo build --release")
    return options


class Bench:
    def __init__(self, folder, options, stack):
        self.folder, self.options, self.stack = folder, options, stack
        self.processes = {}
        self.start_times = []
        self.ports = {}
        # The most memory of each, with up to 32 connections and with 500.
        self.peaks = {name: {"32": 0, "500": 0} for name in ALL}

    def start(self):
        """One upstream for all (nginx for what it can serve from memory or files, a server of this
        project for slow answers and uploads), and before it the three."""
        files = self.folder / "files"
        files.mkdir()
        (files / "answer").write_bytes(os.urandom(64 * 1024))
        with open(files / "download", "wb") as large:
            large.truncate(SIZE * 1024 * 1024)
        upstream, server = free_port(), free_port()
        subprocess.run(["cargo", "build", "--release", "-q", "-p", "taskcluster-proxy-tests", "--bin", "load-upstream"],
                       cwd=ROOT, check=True)
        self.spawn("load-upstream", [ROOT / "target/release/load-upstream", str(server)], server)
        self.nginx("upstream", upstream, f"""
            location {PATH}small {{ default_type application/json; return 200 '{json_of(200)}'; }}
            location {PATH}post {{ default_type application/json; return 200 '{json_of(200)}'; }}
            location {PATH}slow {{ proxy_pass http://127.0.0.1:{server}; {PASS} }}
            location {PATH}upload {{ proxy_pass http://127.0.0.1:{server}; {PASS} }}
            location {PATH} {{ alias {files}/; }}""")
        self.nginx("nginx", self.port("nginx"), f"location / {{ proxy_pass http://upstream; {PASS} }}",
                   f"upstream upstream {{ server 127.0.0.1:{upstream}; keepalive 512; keepalive_requests 1000000000; }}")
        self.haproxy(upstream)
        self.ours(upstream)

    def ours(self, upstream):
        port = self.port("ours")
        environment = {
            "TASKCLUSTER_ROOT_URL": f"http://127.0.0.1:{upstream}",
            "TASKCLUSTER_CLIENT_ID": "tester",
            "TASKCLUSTER_ACCESS_TOKEN": "no-secret",
        }
        command = [self.options.binary, "--ip-address", "127.0.0.1", "--log-level", "warn", "--port"]
        for _ in range(5):
            probe = free_port()
            begin = time.monotonic()
            child = subprocess.Popen([*command, str(probe)], env=environment)
            fetch(probe, PATH + "small")
            self.start_times.append((time.monotonic() - begin) * 1000)
            child.kill()
            child.wait()
        self.spawn("ours", [*command, str(port)], port, environment)

    def nginx(self, name, port, locations, more=""):
        config = self.folder / f"{name}.conf"
        config.write_text(f"""
            daemon off; master_process off; pid {self.folder}/{name}.pid; error_log {self.folder}/{name}.err;
            worker_rlimit_nofile 8192; events {{ worker_connections 4096; }}
            http {{
                access_log off; keepalive_requests 1000000000; client_max_body_size 0; sendfile on; tcp_nodelay on;
                client_body_temp_path {self.folder}/{name}.body; proxy_temp_path {self.folder}/{name}.proxy;
                fastcgi_temp_path {self.folder}/{name}.f; uwsgi_temp_path {self.folder}/{name}.u; scgi_temp_path {self.folder}/{name}.s;
                {more}
                server {{ listen 127.0.0.1:{port} backlog=1024; {locations} }}
            }}""")
        self.spawn(name, ["nginx", "-c", str(config), "-e", f"{self.folder}/{name}.err"], port)

    def haproxy(self, upstream):
        port = self.port("haproxy")
        config = self.folder / "haproxy.cfg"
        config.write_text(f"""
global
    nbthread 1
    maxconn 4096
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    option http-keep-alive
    http-reuse always
listen bench
    bind 127.0.0.1:{port}
    server upstream 127.0.0.1:{upstream} pool-max-conn 512
""")
        self.spawn("haproxy", ["haproxy", "-db", "-q", "-f", str(config)], port)

    def port(self, name):
        self.ports[name] = free_port()
        return self.ports[name]

    def spawn(self, name, command, port, environment=None):
        child = subprocess.Popen([str(word) for word in command], env=environment)
        self.processes[name] = child
        self.stack.callback(child.wait)
        self.stack.callback(child.kill)
        wait_for_port(port)

    def rounds(self):
        results = {load: {name: [] for name in ALL} for load in self.options.loads}
        for number in range(1, self.options.rounds + 1):
            for load in self.options.loads:
                for name in ALL:
                    result = self.measure(load, name)
                    results[load][name].append(result)
                    print(f"round {number}/{self.options.rounds}  {load:9} {name:8} "
                          f"{result['cpu']:9.2f} us/{LOADS[load][1]:8}{result.get('rate', 0):10.0f}/s"
                          f"  p50 {result.get('p50', 0):8.2f} ms  p99 {result.get('p99', 0):8.2f} ms", flush=True)
        return results

    def measure(self, load, name):
        pid = self.processes[name].pid
        before = cpu(pid)
        if load in ("download", "upload"):
            result = self.transfer(load, name)
        else:
            result = self.wrk(load, name)
        result["cpu"] = (cpu(pid) - before) / 1000 / result["count"]
        peaks = self.peaks[name]
        if load == "slow":
            peaks["500"] = self.memory(name, "VmHWM")
        elif not peaks["500"]:
            peaks["32"] = self.memory(name, "VmHWM")
        return result

    def wrk(self, load, name):
        url = f"http://127.0.0.1:{self.ports[name]}{PATH}{load}"
        connections = 500 if load == "slow" else CONNECTIONS
        command = ["wrk", "-t1", f"-c{connections}", f"-d{self.options.seconds}s", "--latency", "--timeout", "10s"]
        if load == "post":
            script = self.folder / "post.lua"
            script.write_text('wrk.method = "POST"; wrk.body = string.rep("x", 1024)\n'
                              'wrk.headers["Content-Type"] = "application/octet-stream"\n')
            command += ["-s", str(script)]
        output = subprocess.run([*command, url], check=True, capture_output=True, text=True).stdout
        failed = re.search(r"(Non-2xx or 3xx responses|Socket errors).*", output)
        if failed:
            sys.exit(f"bench.py: {load} through {name}: {failed[0]}")
        return {
            "count": int(re.search(r"(\d+) requests in", output)[1]),
            "rate": float(re.search(r"Requests/sec:\s+([\d.]+)", output)[1]),
            "p50": milliseconds(re.search(r"50%\s+([\d.]+\w+)", output)[1]),
            "p99": milliseconds(re.search(r"99%\s+([\d.]+\w+)", output)[1]),
        }

    def transfer(self, load, name):
        url = f"http://127.0.0.1:{self.ports[name]}{PATH}{load}"
        command = ["curl", "--silent", "--show-error", "--fail", "--output", "/dev/null", url]
        if load == "upload":
            command += ["--upload-file", str(self.folder / "files/download")]
        begin = time.monotonic()
        subprocess.run(command, check=True)
        return {"count": SIZE, "rate": SIZE / (time.monotonic() - begin)}

    def memory(self, name, field):
        status = pathlib.Path(f"/proc/{self.processes[name].pid}/status").read_text()
        return int(re.search(rf"{field}:\s+(\d+)", status)[1]) / 1024


PASS = ('proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; '
        "proxy_request_buffering off;")


def json_of(size):
    return '{"filler":"' + "x" * (size - 13) + '"}'


def cpu(pid):
    """Nanoseconds on a CPU, of all threads."""
    tasks = pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks)


def milliseconds(text):
    number, unit = re.match(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.0005)
    sys.exit(f"bench.py: nobody listens on port {port}")


def fetch(port, path):
    """One request, as soon as somebody listens."""
    wait_for_port(port)
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    if not answer.startswith(b"HTTP/1.1 200"):
        sys.exit(f"bench.py: expected 200, found {answer[:60]!r}")


def report(options, results, idle, peaks, start_times):
    rows, ratios = [], {}
    for load, by_name in results.items():
        what, unit, target = LOADS[load]
        def ratio(key):
            return statistics.median(
                ours[key] / min(by_name[peer][index][key] for peer in PEERS)
                for index, ours in enumerate(by_name["ours"]) if key in ours) if key in by_name["ours"][0] else None
        middle = {name: {key: statistics.median(run[key] for run in runs) for key in runs[0]} for name, runs in by_name.items()}
        ratios[what] = ratio("cpu")
        cells = [what, *(f"{middle[name]['cpu']:.1f}" for name in ALL), f"us/{unit}", f"**{ratios[what]:.2f}**", f"{target or '-'}"]
        cells += [f"{middle[name]['rate']:.0f}" for name in ALL]
        cells += [f"{middle['ours'][key]:.1f} / {min(middle[peer][key] for peer in PEERS):.1f} ({ratio(key):.2f})"
                  if key in middle["ours"] else "-" for key in ("p50", "p99")]
        rows.append("| " + " | ".join(cells) + " |")
    memory = "\n".join(f"| {name} | {idle[name]:.1f} | {peaks[name]['32']:.1f} | {peaks[name]['500']:.1f} |" for name in ALL)
    versions = ", ".join([
        first_line([str(options.binary), "--version"]), first_line(["nginx", "-v"]), first_line(["haproxy", "-v"]),
        first_line(["rustc", "--version"])])
    text = f"""\
Measured {datetime.date.today()} by `tests/load/bench.py --rounds {options.rounds} --seconds {options.seconds}` on
{cpu_model()}, {os.cpu_count()} cores, Linux {platform.release()}. {versions}.

CPU is that of the proxy process per request or MiB, in microseconds, median of the rounds; the ratio is to the better of
nginx and HAProxy in the same round, median of the rounds. Latencies are ours / the better one's (ratio), in milliseconds.

| load | ours | nginx | HAProxy | CPU | ratio | target | ours/s | nginx/s | HAProxy/s | p50 | p99 |
|---|---|---|---|---|---|---|---|---|---|---|---|
{chr(10).join(rows)}

| memory, MiB | idle | peak, 32 connections | peak, 500 connections |
|---|---|---|---|
{memory}

From the start of the process to its first answer: {statistics.median(start_times):.1f} ms (median of {len(start_times)}).
"""
    print("\n" + text)
    if options.no_report:
        return
    page = ROOT / "docs/performance.md"
    begin, end = "<!-- bench -->\n", "<!-- /bench -->"
    old = page.read_text() if page.exists() else f"# Performance\n\n{begin}{end}\n"
    before, _, rest = old.partition(begin)
    page.write_text(before + begin + "\n" + text + "\n![CPU beside nginx and HAProxy](performance.svg)\n\n" + end + rest.partition(end)[2])
    (ROOT / "docs/performance.svg").write_text(plot(ratios))
    print(f"written: {page}, {page.with_suffix('.svg')}")


def plot(ratios):
    """A bar for each load: our CPU, the better of nginx and HAProxy being 1."""
    scale, left, height = 240, 210, 28
    widest = max([1.5, *ratios.values()])
    bars = []
    for index, (what, ratio) in enumerate(ratios.items()):
        top = 40 + index * height
        bars.append(
            f'<text x="{left - 8}" y="{top + 14}" text-anchor="end">{what}</text>'
            f'<rect x="{left}" y="{top}" width="{ratio * scale:.0f}" height="18" fill="{"#2f8f5b" if ratio <= 1 else "#c77d1e"}"/>'
            f'<text x="{left + ratio * scale + 6:.0f}" y="{top + 14}">{ratio:.2f}</text>')
    bottom = 40 + len(ratios) * height
    width = left + widest * scale + 60
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {bottom + 30}" font-family="sans-serif" font-size="13">'
        f'<rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="{left}" y="22" font-weight="bold">CPU per request or MiB; the better of nginx and HAProxy is 1</text>'
        + "".join(bars)
        + f'<line x1="{left + scale}" y1="32" x2="{left + scale}" y2="{bottom}" stroke="#444" stroke-dasharray="4 3"/></svg>\n')


def first_line(command):
    done = subprocess.run(command, capture_output=True, text=True)
    return (done.stdout or done.stderr).strip().splitlines()[0]


def cpu_model():
    found = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


if __name__ == "__main__":
    main()
