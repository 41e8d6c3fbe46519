//! Tests of Hawk headers and bewits: that the services and third-party implementations of Hawk accept
//! them.

mod bewit;
mod hawk_interop;
mod hawk_messages;
