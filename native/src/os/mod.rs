//! What the operating system gives.

pub mod stream;
