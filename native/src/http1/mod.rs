//! Messages of HTTP/1.1 on a connection (RFC 9112), for both sides of the proxy.
//!
//! [`Request`] and [`Answer`] are heads, read and checked; [`Decoder`] and [`Encoder`] are the
//! framing of bodies, without I/O; [`Wire`] is a connection that they run on.

mod buffer;
mod decode;
mod encode;
mod framing;
mod head;
mod stream;
mod wire;

pub use buffer::Buffer;
pub use decode::{Decoder, MalformedBody, Step};
pub use encode::Encoder;
pub use framing::{Framing, FramingError};
pub use head::{Answer, Fields, HeadError, MAX_FIELDS, Request};
pub use stream::Stream;
pub use wire::{BodyError, Piece, Traffic, Wire};
