//! Tests of who may connect, over which listener.

mod admission;
mod browsers;
mod listener_tls;
mod unix_socket;
