//! Tests of Hawk headers and bewits: that the services and others' implementations of Hawk accept what
//! the proxy signs.

mod bewit;
mod hawk_interop;
mod hawk_messages;
