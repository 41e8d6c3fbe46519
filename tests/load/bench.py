#!/usr/bin/env python3
"""Compares builds of the proxy with nginx and HAProxy, under the same loads, in alternating rounds.

    cargo build --release && tests/load/bench.py
    tests/load/bench.py --binary before=/tmp/before --binary after=target/release/taskcluster-proxy

Each proxy is one process with one thread, and forwards to the same nginx over TLS 1.3 with HTTP/2, over
TLS 1.3 with HTTP/1.1, and over plain HTTP (nginx as a proxy speaks HTTP/1.1 to all of them). Each writes
an access log to a file. Before measuring, the benchmark checks in the upstream's log that each proxy uses
the protocol in question and reuses its connections.

Prints CPU time per request or MiB (user and system, as the kernel accounts them to the process), rates,
latencies and memory, as ratios to the better of nginx and HAProxy and to HAProxy, and whether the targets
(targets.py) are reached; writes docs/performance.md and docs/performance.svg. Absolute figures mean little
on a shared machine: compare the ratios. A result with errors is marked, and not compared with its target.

Needs Debian's nginx-light, haproxy, wrk, curl and openssl. Everything runs on 127.0.0.1; the benchmark ends
all programs that it has started.
"""

import argparse
import contextlib
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time

import report
from loads import LOADS, MANY_CONNECTIONS, measure
from memory import UPSTREAM as MEMORY_UPSTREAM, measure_memory, raise_file_limit
from processes import fail
from proxies import PEERS, check_protocol, start_proxy
from upstreams import KINDS, Upstream

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOLS = {"nginx": "nginx-light", "haproxy": "haproxy", "wrk": "wrk", "curl": "curl", "openssl": "openssl"}
MEMORY = "memory"


def main():
    options = parse()
    missing = [package for tool, package in TOOLS.items() if not shutil.which(tool)]
    if missing:
        fail(f"missing {', '.join(missing)}: run apt-get install {' '.join(missing)}")
    raise_file_limit()
    # Raises an exception, as Ctrl-C does, so that the started programs are killed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder, contextlib.ExitStack() as stack:
            run(options, pathlib.Path(folder), stack)
    except KeyboardInterrupt:
        sys.exit("bench.py: interrupted, no report written")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", action="append", type=named_binary, metavar="NAME=PATH",
                        help="a build to measure; may be repeated, for all to be measured in the same rounds "
                        "[taskcluster-proxy=target/release/taskcluster-proxy]")
    parser.add_argument("--rounds", type=number(1, 100), default=5, metavar="N", help="how often each load is run [5]")
    parser.add_argument("--seconds", type=number(1, 600), default=4, metavar="N", help="how long each run of wrk takes [4]")
    parser.add_argument("--upstream", type=names(KINDS), default=list(KINDS), metavar="NAME,...",
                        help=f"which of {', '.join(KINDS)} [all]")
    parser.add_argument("--only", type=names([*LOADS, MEMORY]), default=[*LOADS, MEMORY], metavar="NAME,...",
                        help=f"which of {', '.join(LOADS)} and {MEMORY} [all]")
    parser.add_argument("--tune-peers", action="store_true", help="give nginx 64 KiB buffers, and HAProxy these and HTTP/2 "
                        "windows of 1 MiB, instead of their defaults, which the targets refer to; writes no files")
    parser.add_argument("--no-report", action="store_true", help="print, but write no files")
    options = parser.parse_args()
    try:
        binaries = options.binary or [named_binary(f"taskcluster-proxy={ROOT}/target/release/taskcluster-proxy")]
    except argparse.ArgumentTypeError as error:
        parser.error(error)
    options.binaries = dict(binaries)
    if len(options.binaries) < len(binaries):
        parser.error("expected a different NAME for each --binary")
    options.complete = options.upstream == list(KINDS) and options.only == [*LOADS, MEMORY] and not options.tune_peers
    options.load_average = os.getloadavg()[0]
    return options


def named_binary(text):
    name, equals, path = text.partition("=")
    path = pathlib.Path(path)
    if not (name and equals) or name in PEERS or "|" in name or "/" in name:
        raise argparse.ArgumentTypeError(f"expected NAME=PATH, found {text!r}")
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"{path} does not exist: run cargo build --release")
    return name, path.resolve()


def number(lowest, highest):
    def convert(text):
        if not text.isascii() or not text.isdigit() or not lowest <= int(text) <= highest:
            raise argparse.ArgumentTypeError(f"expected a number from {lowest} to {highest}, found {text!r}")
        return int(text)
    return convert


def names(known):
    def convert(text):
        unknown = set(text.split(",")) - set(known)
        if unknown:
            raise argparse.ArgumentTypeError(f"expected names among {', '.join(known)}, found {', '.join(sorted(unknown))}")
        return [name for name in known if name in text.split(",")]
    return convert


def run(options, folder, stack):
    upstream = Upstream(stack, folder)
    proxy_names = [*options.binaries, *PEERS]

    def start(stack, kind, name):
        return start_proxy(stack, folder, upstream, kind, name, options)

    proxies, ciphers = {}, set()
    for kind in options.upstream:
        for name in proxy_names:
            proxies[kind, name] = start(stack, kind, name)
            ciphers.add(check_protocol(proxies[kind, name], kind, upstream, signs=name not in PEERS))
        print(f"{KINDS[kind].title}: all of {', '.join(proxy_names)} use it and reuse connections", flush=True)
    memory = {}
    if MEMORY in options.only:
        for name in proxy_names:
            memory[name] = measure_memory(lambda stack, name=name: start(stack, MEMORY_UPSTREAM, name), upstream)
            print(f"memory: {name}: {memory[name]}", flush=True)
    results = run_rounds(options, upstream, proxies, proxy_names)
    report.report(options, results, memory, ciphers - {"-"}, ROOT)


def run_rounds(options, upstream, proxies, proxy_names):
    """The results by upstream, load and proxy. Each round begins with another proxy."""
    cells = [(kind, load) for kind in options.upstream for load in options.only
             if load != MEMORY and kind in LOADS[load].upstreams]
    results = {cell: {name: [] for name in proxy_names} for cell in cells}
    runs = [(round_number, cell, name) for with_many in [False, True] for round_number in range(options.rounds)
            for cell in cells if (cell[1] == MANY_CONNECTIONS) == with_many for name in rotated(proxy_names, round_number)]
    begin = time.monotonic()
    for done, (round_number, (kind, load), name) in enumerate(runs, 1):
        result = measure(LOADS[load], proxies[kind, name], upstream, options.seconds)
        results[kind, load][name].append(result)
        minutes = (time.monotonic() - begin) / done * (len(runs) - done) / 60
        print(f"round {round_number + 1}/{options.rounds}  {kind:5} {load:11} {name:17} "
              f"{report.progress(result, LOADS[load])}  {minutes:.0f} min left", flush=True)
    return results


def rotated(names, by):
    first = by % len(names)
    return names[first:] + names[:first]


if __name__ == "__main__":
    main()
