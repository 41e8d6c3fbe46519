//! The wasm-bindgen surface of taskcluster-proxy-core: conversions and calls, no logic.
//!
//! `wasm/js/api.js` is the only caller. It has checked the JavaScript types and the lengths of what
//! comes in; what the texts mean is core's to judge. Times are milliseconds since the epoch.
#![allow(unreachable_pub, reason = "JavaScript reaches what no other crate does")]
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

/// Half the size of the default one. It looks through a list of free blocks, which is short here: no
/// call leaves more behind than prepared credentials, of which there are few.
#[cfg(target_arch = "wasm32")]
#[expect(unsafe_code, reason = "it is sound with one thread, and wasm32-unknown-unknown has one")]
#[global_allocator]
static ALLOCATOR: AssumeSingleThreaded<FreeListAllocator> =
    unsafe { AssumeSingleThreaded::new(FreeListAllocator::new()) };

/// Fractions are cut off, and what is out of range becomes the nearest there is.
fn timestamp(millis: f64) -> Timestamp {
    Timestamp::from_millis(millis as u64)
}
