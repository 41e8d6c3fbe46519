"""What both nginx of the benchmark, the upstream and the proxy, have in their configuration."""

FOREVER = 1000000000


def main_section(folder, name):
    """One process, like the proxies beside it."""
    return f"""
        daemon off; master_process off; pid {folder}/{name}.pid; error_log stderr;
        events {{ worker_connections 8192; }}"""


def http_settings(folder, name):
    """Connections stay open: what is measured is requests, and where a load opens connections it says so."""
    temporary = " ".join(f"{module}_temp_path {folder}/{name}.{module};" for module in ["proxy", "fastcgi", "uwsgi", "scgi"])
    return f"""
        keepalive_requests {FOREVER}; keepalive_timeout 1h; client_max_body_size 0; tcp_nodelay on;
        {temporary}"""
