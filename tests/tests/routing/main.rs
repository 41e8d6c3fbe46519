//! Tests of request routing, forward proxies and allowed hosts.

mod allow_host;
mod proxies;
mod routes;
mod socks;
