"""The report of the benchmark: tables of ratios, with their targets and whether these are reached."""

import datetime
import os
import pathlib
import platform
import re
import statistics

import targets
from loads import LOADS, MANY_CONNECTIONS
from memory import IDLE_CONNECTIONS, UPSTREAM as MEMORY_UPSTREAM
from plot import plot
from processes import first_line
from proxies import PEERS
from upstreams import DOWNLOAD, KINDS

BEGIN, END = "<!-- bench -->\n", "<!-- /bench -->"
NOTHING = "-"


def report(options, results, memory, ciphers, root):
    cells = {key: Cell(*key, by_name) for key, by_name in results.items()}
    builds = list(options.binaries)
    parts = [introduction(options, ciphers)]
    for kind in options.upstream:
        of_kind = [cell for cell in cells.values() if cell.kind == kind]
        if of_kind:
            parts += [f"## Upstream over {KINDS[kind].title}", cpu_table(of_kind, builds), latency_table(of_kind, builds)]
    if memory:
        parts += ["## Memory", memory_table(memory, cells.values(), builds)]
    text = "\n\n".join(parts) + "\n"
    print("\n" + text)
    if options.no_report:
        return
    if not options.complete:
        print("docs/performance.md is not written: the report needs all loads and upstreams")
        return
    page = root / "docs/performance.md"
    before, _, rest = page.read_text().partition(BEGIN)
    image = "![CPU beside nginx and HAProxy](performance.svg)"
    page.write_text(f"{before}{BEGIN}\n{text}\n{image}\n\n{END}{rest.partition(END)[2]}")
    page.with_suffix(".svg").write_text(plot(cells.values(), builds))
    print(f"written: {page}, {page.with_suffix('.svg')}")


def progress(result, load):
    """The result of a run, for the line that is printed when it has ended."""
    text = f"{result.cpu:8.1f} us/{load.unit:7} {result.rate:8.0f}/s"
    if result.p50 is not None:
        text += f"  p50 {result.p50:7.2f} ms  p99 {result.p99:7.2f} ms"
    text += f"  {result.connections} new connections, peak {result.peak:.1f} MiB"
    return text + (f"  ERRORS {describe(result.errors)}" if result.errors else "")


class Cell:
    """All runs of a load over one kind of upstream connection, by proxy."""

    def __init__(self, kind, load, by_name):
        self.kind, self.load, self.by_name = kind, load, by_name
        self.title, self.unit = LOADS[load].title, LOADS[load].unit
        self.has_latency = self.unit == "request"

    def errors(self, name):
        total = {}
        for run in self.by_name[name]:
            for what, count in run.errors.items():
                total[what] = total.get(what, 0) + count
        return total

    def median(self, name, field):
        """The median of the runs without errors."""
        values = [getattr(run, field) for run in self.by_name[name] if not run.errors]
        return statistics.median(values) if values else None

    def better(self, field):
        """The peer with the better median; peers with errors are left out."""
        medians = {peer: self.median(peer, field) for peer in PEERS if not self.errors(peer)}
        best = max if field == "rate" else min
        return best(medians, key=medians.get) if medians else None

    def ratio(self, name, peer, field):
        """The median of the ratios in each round; None if one of the two had errors."""
        if peer is None or self.errors(name) or self.errors(peer):
            return None
        pairs = zip(self.by_name[name], self.by_name[peer])
        return statistics.median(getattr(own, field) / getattr(other, field) for own, other in pairs)

    def cpu_target(self, build):
        """The ratio that is compared with the target, the target, and the peer of the ratio."""
        limit, whom = targets.CPU.get(self.kind, {}).get(self.load, (None, targets.BETTER))
        peer = "HAProxy" if whom == targets.HAPROXY else self.better("cpu")
        return self.ratio(build, peer, "cpu"), limit, whom


def introduction(options, ciphers):
    versions = [f"{name}: {first_line([path, '--version'])}" for name, path in options.binaries.items()]
    versions += [first_line(["nginx", "-v"]), first_line(["haproxy", "-v"]).split(" - ")[0]]
    tls = f" TLS is 1.3 with {' and '.join(sorted(ciphers))}." if ciphers else ""
    peers = "nginx and HAProxy have buffers and windows " + (
        "as large as ours (`--tune-peers`)." if options.tune_peers else "of their defaults.")
    return f"""\
Measured {datetime.date.today()} by `tests/load/bench.py --rounds {options.rounds} --seconds {options.seconds}` on {cpu_model()},
{os.cpu_count()} cores, Linux {platform.release()}; load average before the run: {options.load_average:.1f}.
{'. '.join(versions)}.{tls} {peers}

CPU is user and system time of the proxy's process per request or MiB, in microseconds; latencies are in milliseconds.
Figures are medians of the rounds, ratios the median of the ratios in each round: below 1 is less CPU or latency than
the peer's, above 1 a higher rate. A target is for the ratio to the better of nginx and HAProxy unless it names HAProxy."""


def cpu_table(cells, builds):
    rows = []
    for cell in cells:
        for build in builds:
            judged, limit, whom = cell.cpu_target(build)
            named = " x HAProxy" if whom == targets.HAPROXY else ""
            rows.append([
                cell.title, build, *(figure(cell, name, "cpu", 1) for name in [build, *PEERS]), cell.unit,
                *(ratio(cell.ratio(build, other, "cpu")) for other in [cell.better("cpu"), "HAProxy", *builds[:-1]]),
                f"<= {limit}{named}" if limit else NOTHING, verdict(judged, limit)])
    return table(["CPU of", "build", "us", "nginx", "HAProxy", "per", "to the better", "to HAProxy",
                  *(f"to {build}" for build in builds[:-1]), "target", "reached"], rows)


def latency_table(cells, builds):
    rows = []
    for cell in cells:
        for build in builds:
            row = [cell.title, build]
            for field, digits in [("rate", 0), ("p50", 2), ("p99", 2)]:
                if field != "rate" and not cell.has_latency:
                    row += [NOTHING, NOTHING]
                    continue
                row.append(" / ".join(figure(cell, name, field, digits) for name in [build, *PEERS]))
                row.append(", ".join(ratio(cell.ratio(build, peer, field)) for peer in [cell.better(field), "HAProxy"]))
            judged = cell.load in targets.P99_LOADS
            row.append(verdict(cell.ratio(build, "HAProxy", "p99"), targets.P99) if judged else NOTHING)
            row.append("; ".join(f"{name}: {describe(cell.errors(name))}" for name in [build, *PEERS] if cell.errors(name)) or "none")
            rows.append(row)
    ratios = "to the better, to HAProxy"
    return table(["load", "build", "per second: ours / nginx / HAProxy", ratios, "p50", ratios, "p99", ratios,
                  f"p99 <= {targets.P99} x HAProxy", "errors"], rows)


def memory_table(memory, cells, builds):
    rows = []
    for name, found in memory.items():
        peaks = [(run.peak, cell) for cell in cells for run in cell.by_name[name]]
        many = max((peak for peak, cell in peaks if cell.load == MANY_CONNECTIONS), default=None)
        peak = max((peak for peak, cell in peaks if cell.load != MANY_CONNECTIONS), default=None)
        own = name in builds
        rows.append([
            name, against(found.idle, "idle", own), f"{found.anonymous:.1f}", f"{found.used:.1f}", against(peak, "peak", own), against(many, None, own),
            against(found.both_ways, "both ways", own), against(found.connection, "connection", own),
            f"{found.start:.1f}", describe(found.errors) or "none"])
    heads = ["memory", "idle, MiB", "idle, anonymous, MiB", "after the first request", "peak of all loads with 32 connections", "peak with 500 connections",
             f"peak with {DOWNLOAD} MiB up and down at once", f"KiB for each of {IDLE_CONNECTIONS} idle connections",
             "ms from start to first response", "errors"]
    return f"""{table(heads, rows)}

Peaks are `VmHWM`, the highest of all rounds and upstreams. The rest of the idle memory is pages of the binary and of
libraries, which processes share. Idle memory, idle connections and both directions are measured with
new processes in front of an upstream over {KINDS[MEMORY_UPSTREAM].title}."""


def table(heads, rows):
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def figure(cell, name, field, digits):
    """The median as text, marked if some of the runs had errors."""
    value = cell.median(name, field)
    mark = " (errors)" if cell.errors(name) else ""
    return (NOTHING if value is None else f"{value:.{digits}f}") + mark


def ratio(value):
    return NOTHING if value is None else f"{value:.2f}"


def verdict(value, limit):
    if limit is None:
        return NOTHING
    if value is None:
        return "unknown: errors"
    return "yes" if targets.reached(value, limit) else "**no**"


def against(value, target, judged):
    if value is None:
        return NOTHING
    if not judged or target is None:
        return f"{value:.1f}"
    return f"{value:.1f} (<= {targets.MEMORY[target]}: {verdict(value, targets.MEMORY[target])})"


def describe(errors):
    return ", ".join(f"{count} x {what}" for what, count in errors.items())


def cpu_model():
    found = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()
