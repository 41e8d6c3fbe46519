//! What makes it this proxy.
