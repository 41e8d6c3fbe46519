//! The wasm-bindgen surface of taskcluster-proxy-core: conversions and calls, no logic.
//!
//! `wasm/js/api.js` is the only caller. It checks the JavaScript types and the lengths of arguments;
//! core parses the texts. Times are milliseconds since the epoch.
#![allow(unreachable_pub, reason = "JavaScript uses these items, and no other crate does")]
#![deny(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable,
    clippy::unwrap_used
)]

mod credentials;
mod failure;
mod headers;
mod inspect;
mod json;
mod route;
mod scopes;
mod verify;

#[cfg(target_arch = "wasm32")]
use lol_alloc::{AssumeSingleThreaded, FreeListAllocator};
use taskcluster_proxy_core::Timestamp;

/// Half the size of the default allocator. It searches a list of free blocks, which stays short: only
/// the few prepared credentials stay allocated between calls.
#[cfg(target_arch = "wasm32")]
#[expect(unsafe_code, reason = "it is sound with one thread, and wasm32-unknown-unknown has one")]
#[global_allocator]
static ALLOCATOR: AssumeSingleThreaded<FreeListAllocator> =
    unsafe { AssumeSingleThreaded::new(FreeListAllocator::new()) };

/// Cuts off fractions; a number out of range becomes the nearest one in range.
fn timestamp(millis: f64) -> Timestamp {
    Timestamp::from_millis(millis as u64)
}
