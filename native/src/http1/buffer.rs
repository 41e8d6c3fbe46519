//! What was read from a connection and not yet used.

use std::mem;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};
use zeroize::Zeroize as _;

/// Bytes of one connection. It holds a block of memory only while there are any: a connection that
/// waits holds none.
#[derive(Debug, Default)]
pub struct Buffer {
    block: Option<Box<[u8]>>,
    start: usize,
    end: usize,
}

/// Blocks that nobody uses at the moment. They are zeroed once, when they are made.
static SPARE: Mutex<Vec<Box<[u8]>>> = Mutex::new(Vec::new());

/// More spare blocks than this are given back to the system.
const MAX_SPARE: usize = 16;

impl Buffer {
    /// The size of a block: the longest head of a message, and the most that is read at once, in
    /// bytes. 64 KiB and room for a head, so that an answer of that size is read and written at once;
    /// larger ones were not faster.
    pub const SIZE: usize = 72 * 1024;

    /// What was read and not yet used.
    pub fn bytes(&self) -> &[u8] {
        self.block.as_deref().and_then(|block| block.get(self.start..self.end)).unwrap_or_default()
    }

    /// Whether nothing more can be read until something is used.
    pub fn is_full(&self) -> bool {
        self.end - self.start == Self::SIZE
    }

    /// Marks the first `count` bytes as used.
    pub fn consume(&mut self, count: usize) {
        self.start = self.end.min(self.start + count);
        if self.start == self.end {
            self.release();
        }
    }

    /// As [`consume`](Self::consume), for what must not stay in memory.
    pub fn consume_secret(&mut self, count: usize) {
        let used = self.end.min(self.start + count);
        if let Some(block) = self.block.as_deref_mut() {
            // All that is not to be used: what was moved to make room is there twice.
            for range in [0..used, self.end..Self::SIZE] {
                block.get_mut(range).unwrap_or_default().zeroize();
            }
        }
        self.consume(count);
    }

    /// Reads more; the number of bytes, 0 at the end of the stream.
    ///
    /// # Errors
    ///
    /// As of `io`; and nothing is read into a full buffer, which has to be prevented.
    pub fn poll_fill(
        &mut self,
        context: &mut Context<'_>,
        io: &mut (impl AsyncRead + Unpin),
    ) -> Poll<std::io::Result<usize>> {
        let block = self.block.get_or_insert_with(take_block);
        if self.end == Self::SIZE {
            block.copy_within(self.start..self.end, 0);
            self.end -= mem::take(&mut self.start);
        }
        let mut space = ReadBuf::new(block.get_mut(self.end..).unwrap_or_default());
        let polled = Pin::new(io).poll_read(context, &mut space);
        let count = space.filled().len();
        self.end += count;
        if self.start == self.end {
            self.release();
        }
        ready!(polled)?;
        Poll::Ready(Ok(count))
    }

    fn release(&mut self) {
        (self.start, self.end) = (0, 0);
        if let Some(block) = self.block.take() {
            let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
            if spare.len() < MAX_SPARE {
                spare.push(block);
            }
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.release();
    }
}

fn take_block() -> Box<[u8]> {
    let spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner).pop();
    spare.unwrap_or_else(|| vec![0; Buffer::SIZE].into_boxed_slice())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    async fn fill(buffer: &mut Buffer, mut io: &[u8]) -> usize {
        poll_fn(|context| buffer.poll_fill(context, &mut io)).await.unwrap()
    }

    #[tokio::test]
    async fn what_is_left_makes_room_for_more() {
        let mut buffer = Buffer::default();
        assert_eq!(fill(&mut buffer, &[1; Buffer::SIZE + 1]).await, Buffer::SIZE);
        assert!(buffer.is_full());
        buffer.consume(Buffer::SIZE - 2);
        assert!(!buffer.is_full());
        assert_eq!(fill(&mut buffer, b"ab").await, 2);
        assert_eq!(buffer.bytes(), [1, 1, b'a', b'b']);
        buffer.consume(9);
        assert_eq!((buffer.bytes(), buffer.block.is_none()), (&b""[..], true));
        assert_eq!(fill(&mut buffer, b"").await, 0);
        assert!(buffer.block.is_none());
    }

    #[tokio::test]
    async fn secrets_are_wiped() {
        let mut buffer = Buffer::default();
        fill(&mut buffer, b"no-secret, more").await;
        buffer.consume_secret(9);
        assert_eq!(buffer.bytes(), b", more");
        assert_eq!(buffer.block.as_deref().unwrap()[..9], [0; 9]);
    }

    #[tokio::test]
    async fn secrets_that_were_moved_are_wiped_where_they_were() {
        let mut buffer = Buffer::default();
        let secret = [vec![1; Buffer::SIZE - 4], vec![7; 4]].concat();
        fill(&mut buffer, &secret).await;
        buffer.consume(Buffer::SIZE - 4);
        fill(&mut buffer, b"more").await;
        assert_eq!(buffer.bytes(), [7, 7, 7, 7, b'm', b'o', b'r', b'e']);
        buffer.consume_secret(4);
        let block = buffer.block.as_deref().unwrap();
        assert!(!block.contains(&7) && !block.contains(&1));
        assert_eq!(buffer.bytes(), b"more");
    }
}
