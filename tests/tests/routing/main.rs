//! Tests of where requests go: by which rules, through which forward proxies, to which hosts.

mod allow_host;
mod proxies;
mod routes;
mod socks;
