//! Tests of access policies and of the listeners: TCP, TLS and Unix sockets.

mod admission;
mod browsers;
mod listener_tls;
mod unix_socket;
