//! Tests of how credentials are given, updated and kept secret.

mod credentials_file;
mod credentials_from;
mod put_credentials;
mod secrets;
