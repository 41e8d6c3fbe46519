//! Tests of how credentials come in, change and stay secret.

mod credentials_file;
mod credentials_from;
mod put_credentials;
mod secrets;
