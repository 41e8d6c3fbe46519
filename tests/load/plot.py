"""The plot of docs/performance.md: CPU of each load as bars, the better of nginx and HAProxy being 1."""

import targets
from upstreams import KINDS

SCALE, LEFT, BAR = 240, 300, 18  # pixels
COLORS = {True: "#2f8f5b", False: "#c77d1e", None: "#8a8a8a"}  # target reached, missed, none


def plot(cells, builds):
    parts, top, widest, kind = [], 40, 1.5, None
    for cell in cells:
        if cell.kind != kind:
            kind = cell.kind
            top += 12
            parts.append(f'<text x="12" y="{top + 14}" font-weight="bold">Upstream over {KINDS[kind].title}</text>')
            top += 24
        for build in builds:
            ratio = cell.ratio(build, cell.better("cpu"), "cpu")
            what = cell.title if len(builds) == 1 else f"{cell.title}: {build}"
            parts.append(f'<text x="{LEFT - 8}" y="{top + 14}" text-anchor="end">{what}</text>')
            if ratio is None:
                parts.append(f'<text x="{LEFT + 6}" y="{top + 14}">errors</text>')
            else:
                judged, limit, _ = cell.cpu_target(build)
                color = COLORS[None if limit is None or judged is None else targets.reached(judged, limit)]
                widest = max(widest, ratio)
                parts.append(f'<rect x="{LEFT}" y="{top}" width="{ratio * SCALE:.0f}" height="{BAR}" fill="{color}"/>'
                             f'<text x="{LEFT + ratio * SCALE + 6:.0f}" y="{top + 14}">{ratio:.2f}</text>')
            top += BAR + 8
    width = LEFT + widest * SCALE + 60
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {top + 20}" font-family="sans-serif" font-size="13">'
        f'<rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="12" y="24" font-weight="bold">CPU per request or MiB; the better of nginx and HAProxy is 1. '
        f"Green: target reached, orange: missed, gray: no target</text>"
        + "".join(parts)
        + f'<line x1="{LEFT + SCALE}" y1="40" x2="{LEFT + SCALE}" y2="{top}" stroke="#444" stroke-dasharray="4 3"/></svg>\n')
