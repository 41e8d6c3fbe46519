//! The diagnosis of refused requests: real services' responses as a table, and a property.

mod authentication;
mod case;
mod property;
mod scopes;
mod service;
