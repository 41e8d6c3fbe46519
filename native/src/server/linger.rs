//! Closing a connection so that the last answer on it arrives.

use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

/// Says that nothing more comes, and takes what the peer still sends, for a while.
///
/// A client may be sending a body that nobody wants any more (413, 401). Closed at once, its
/// connection is reset, and the client fails to send before it looks for the answer, or the answer
/// is lost with the reset (RFC 9112 section 9.6).
pub(super) async fn linger(io: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    // Whether the peer has closed, too, or nobody waits any longer: the end is the same.
    let _ = timeout(LINGER, finish(io)).await;
}

async fn finish(io: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    io.shutdown().await?;
    let mut block = vec![0; BLOCK];
    while io.read(&mut block).await? > 0 {}
    Ok(())
}

/// Long enough for an answer to reach a client and to be noticed there.
const LINGER: Duration = Duration::from_secs(2);

/// Read at once of what nobody wants, in bytes.
const BLOCK: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::duplex;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn it_takes_what_comes_until_the_peer_closes() {
        let (mut client, mut server) = duplex(1);
        let sent = tokio::spawn(async move {
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.unwrap();
            client.write_all(&[0; 3 * BLOCK]).await
        });
        let start = Instant::now();
        linger(&mut server).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        sent.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn it_does_not_wait_for_ever() {
        let (_client, mut server) = duplex(1);
        let start = Instant::now();
        linger(&mut server).await;
        assert!((LINGER..2 * LINGER).contains(&start.elapsed()));
    }
}
