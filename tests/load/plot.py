"""The plot of docs/performance.md: bars for the CPU time of each load, relative to the better of nginx and HAProxy."""

import targets
from upstreams import KINDS

SCALE, BAR, LETTER = 240, 18, 7  # pixels: of a ratio of 1, of a bar's height, of a letter's width
REACHED, MISSED, NO_TARGET = "#2f8f5b", "#c77d1e", "#8a8a8a"


def plot(cells, builds):
    labels = {(cell, build): cell.title if len(builds) == 1 else f"{cell.title}: {build}" for cell in cells for build in builds}
    left = 20 + LETTER * max(len(label) for label in labels.values())
    bars, top, widest, kind = [], 52, 1.5, None
    for (cell, build), label in labels.items():
        if cell.kind != kind:
            kind = cell.kind
            bars.append(f'<text x="12" y="{top + 26}" font-weight="bold">Upstream over {KINDS[kind].title}</text>')
            top += 36
        ratio = cell.ratio(build, cell.better("cpu"), "cpu")
        widest = max(widest, ratio or 0)
        bars.append(f'<text x="{left - 8}" y="{top + 14}" text-anchor="end">{label}</text>')
        bars.append(f'<rect x="{left}" y="{top}" width="{(ratio or 0) * SCALE:.0f}" height="{BAR}" fill="{color(cell, build)}"/>'
                    f'<text x="{left + (ratio or 0) * SCALE + 6:.0f}" y="{top + 14}">{f"{ratio:.2f}" if ratio else "errors"}</text>')
        top += BAR + 8
    width = left + widest * SCALE + 60
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {top + 20}" font-family="sans-serif" font-size="13">'
        f'<rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="12" y="24" font-weight="bold">CPU per request or MiB; the better of nginx and HAProxy is 1</text>'
        f'<text x="12" y="44"><tspan fill="{REACHED}">target reached</tspan>, <tspan fill="{MISSED}">target missed</tspan>, '
        f'<tspan fill="{NO_TARGET}">no target</tspan></text>'
        f'<line x1="{left + SCALE}" y1="64" x2="{left + SCALE}" y2="{top}" stroke="#bbb" stroke-dasharray="4 3"/>'
        + "".join(bars) + "</svg>\n")


def color(cell, build):
    judged, limit, _ = cell.cpu_target(build)
    if limit is None or judged is None:
        return NO_TARGET
    return REACHED if targets.reached(judged, limit) else MISSED
