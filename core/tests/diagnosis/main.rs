//! The diagnosis of refused requests: real services' responses as a table, and a property.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails so, its helpers included")]

mod authentication;
mod case;
mod property;
mod scopes;
mod service;
