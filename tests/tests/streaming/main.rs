//! Tests of bodies of any size in both directions, trailers, truncation and cancellation.

mod bodies;
mod cancel;
mod slow;
mod trailers;
mod truncation;
