"""All targets of the benchmark."""

BETTER = "the better of nginx and HAProxy"
HAPROXY = "HAProxy"

# CPU time per request or MiB, by upstream and load: the maximum ratio, and the peer of the ratio. Without an entry there is no
# target.
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

# In MiB, except for the last one: KiB for each idle keep-alive connection.
MEMORY = {"idle": 6, "peak": 16, "both ways": 24, "connection": 16}


def reached(value, limit):
    """Whether the printed value, with two decimals, is within the limit."""
    return round(value, 2) <= limit
