"""The configuration that both nginx of the benchmark share: the upstream and the proxy."""

FOREVER = 1000000000


def main_section(folder, name):
    """Runs nginx as one process, like the other proxies."""
    return f"""
        daemon off; master_process off; pid {folder}/{name}.pid; error_log stderr;
        events {{ worker_connections 8192; }}"""


def http_settings(folder, name):
    """Keeps connections open, as requests are measured, and new connections only in some loads."""
    temporary = " ".join(f"{module}_temp_path {folder}/{name}.{module};" for module in ["proxy", "fastcgi", "uwsgi", "scgi"])
    return f"""
        keepalive_requests {FOREVER}; keepalive_timeout 1h; client_max_body_size 0; tcp_nodelay on;
        {temporary}"""
