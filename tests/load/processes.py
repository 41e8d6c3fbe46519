"""Starts the programs of the benchmark on loopback ports, and reads their CPU time and memory from the kernel."""

import contextlib
import ctypes
import os
import pathlib
import re
import socket
import subprocess
import sys
import time


class Process:
    """A running program that listens on `port`. The exit stack kills it when the benchmark ends for any reason."""

    def __init__(self, stack, name, command, port, log, environment=None):
        self.name, self.port, self.log = name, port, log
        # Opened for appending, so that it can be emptied while the program writes to it.
        with open(log, "ab") as output:
            self.child = subprocess.Popen([str(word) for word in command], env=environment,
                                          stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        self.pid = self.child.pid
        self.clock = cpu_clock(self.pid)
        stack.callback(self.kill)
        self.wait_for_port()

    def kill(self):
        self.child.kill()
        self.child.wait()

    def wait_for_port(self):
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self.status() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.0005)
        end = "is running" if self.status() is None else f"ended with status {self.status()}"
        last = "\n".join(self.log.read_text(errors="replace").splitlines()[-5:])
        fail(f"expected {self.name} to listen on port {self.port} within 10 s; it {end}. Its log:\n{last}")

    def status(self):
        """The exit status, or None while it runs."""
        return self.child.poll()

    def cpu(self):
        """Nanoseconds of user and system CPU time of all threads, including those that have ended."""
        return time.clock_gettime_ns(self.clock)

    def memory(self, field):
        """Memory in MiB; `field` is `VmRSS`, `RssAnon` or `VmHWM` (proc(5))."""
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(rf"{field}:\s+(\d+)", status)[1]) / 1024

    def reset_peak(self):
        """Resets `VmHWM` to the current value (proc(5), clear_refs)."""
        pathlib.Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def empty_log(self):
        """Empties the log, which would grow to gigabytes in a whole run."""
        os.truncate(self.log, 0)


def cpu_clock(pid):
    clock = ctypes.c_int()
    error = ctypes.CDLL(None).clock_getcpuclockid(pid, ctypes.byref(clock))
    if error:
        fail(f"no CPU clock of process {pid}: {os.strerror(error)}")
    return clock.value


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def first_line(command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=10)
    return (done.stdout or done.stderr).strip().splitlines()[0]


def fail(message):
    sys.exit(f"bench.py: {message}")
