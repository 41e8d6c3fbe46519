"""Memory of the proxies: idle, per idle keep-alive connection, and with large bodies in both directions at once."""

import contextlib
import dataclasses
import resource
import statistics
import time

from loads import LOADS, Transfer, finish_transfer, start_transfer
from processes import fail
from proxies import connect, fetch
from upstreams import DOWNLOAD

UPSTREAM = "h2"
STARTS = 5
IDLE_CONNECTIONS = 5000
FILES = 16000  # open files: a proxy needs two for each connection
BOTH_WAYS = [LOADS["download"], Transfer(f"upload of {DOWNLOAD} MiB", "upload", upload=DOWNLOAD)]


@dataclasses.dataclass
class Memory:
    """`connection` is KiB, the other sizes are MiB."""
    start: float  # milliseconds from the start of the process to the first response
    idle: float  # after the start
    anonymous: float  # the part of `idle` that is not the pages of the binary and of libraries
    used: float  # after the first request
    connection: float
    both_ways: float
    errors: dict


def measure_memory(start, upstream):
    """Measures new processes of a proxy, which `start(stack)` starts."""
    times = []
    for _ in range(STARTS):
        with contextlib.ExitStack() as stack:
            begin = time.monotonic()
            proxy = start(stack)
            fetch(proxy, connect(proxy), "small")
            times.append((time.monotonic() - begin) * 1000)
    with contextlib.ExitStack() as stack:
        proxy = start(stack)
        idle, anonymous = proxy.memory("VmRSS"), proxy.memory("RssAnon")
        fetch(proxy, connect(proxy), "small")
        used = proxy.memory("VmRSS")
        errors = hold_connections(stack, proxy)
        connection = (proxy.memory("VmRSS") - used) * 1024 / IDLE_CONNECTIONS
    with contextlib.ExitStack() as stack:
        proxy = start(stack)
        for transfer, curl in [(transfer, start_transfer(transfer, proxy, upstream)) for transfer in BOTH_WAYS]:
            errors |= finish_transfer(curl, transfer)
        both_ways = proxy.memory("VmHWM")
    return Memory(statistics.median(times), idle, anonymous, used, connection, both_ways, errors)


def hold_connections(stack, proxy):
    """Opens connections, each of which carries a request and stays open; returns the errors."""
    clients = []
    for _ in range(IDLE_CONNECTIONS):
        clients.append(connect(proxy))
        stack.callback(clients[-1].close)
        fetch(proxy, clients[-1], "small")
    closed = sum(not is_open(client.sock) for client in clients)
    return {"idle connections closed": closed} if closed else {}


def is_open(connection):
    """Whether the peer has sent nothing and not closed the connection."""
    connection.setblocking(False)
    try:
        return bool(connection.recv(1))
    except BlockingIOError:
        return True


def raise_file_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < FILES:
        fail(f"expected a limit of at least {FILES} open files, found {hard}: ulimit -Hn {FILES}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, hard))
