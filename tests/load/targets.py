"""What the benchmark has to show: every target, and nowhere else."""

BETTER = "the better of nginx and HAProxy"
HAPROXY = "HAProxy"

# CPU per request or MiB as a ratio: at most so much, to whom. By upstream and load; no entry, no target.
CPU = {
    "h2": {
        "small": (1.1, BETTER),
        "post": (1.1, BETTER),
        "response": (0.6, BETTER),
        "download": (0.5, BETTER),
        "small-close": (1.15, BETTER),
        "post-close": (1.15, BETTER),
    },
    "h1": {
        "small": (1.0, BETTER),
        "post": (1.0, BETTER),
        "response": (0.85, BETTER),
        "download": (0.6, BETTER),
        "upload": (0.8, HAPROXY),
    },
    "plain": {
        "small": (1.25, BETTER),
        "post": (1.25, BETTER),
        "response": (0.8, HAPROXY),
        "download": (1.0, HAPROXY),
    },
}

# The 99th percentile, as a ratio to HAProxy's.
P99 = 1.15
P99_LOADS = ["small", "post", "response", "small-close", "post-close"]

# MiB, but for the last, which is KiB for each of the idle keep-alive connections.
MEMORY = {"idle": 6, "peak": 16, "both ways": 24, "connection": 16}


def reached(value, limit):
    """As it is printed: with two decimals."""
    return round(value, 2) <= limit
