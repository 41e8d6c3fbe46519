//! The bodies of requests to the proxy itself, which are read in whole.

use crate::http1::{BodyError, Framing, Piece, Request, Wire};
use crate::upstream::Taken;
use std::future::poll_fn;
use std::task::{Poll, ready};
use std::time::Duration;
use taskcluster_proxy_core::proxy::ProxyError;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use zeroize::Zeroizing;

/// The largest body of `POST /bewit`, in bytes.
pub(crate) const MAX_BEWIT_BODY: usize = 64 * 1024;
/// The largest body of `PUT /credentials`, in bytes.
pub(crate) const MAX_CREDENTIALS_BODY: usize = 1024 * 1024;
/// Bodies beyond this, in bytes, are read few at a time. Credentials have some thousand.
const MAX_SMALL_BODY: usize = 64 * 1024;
/// How many: together they fit into the memory that a proxy has.
static LARGE_BODIES: Semaphore = Semaphore::const_new(4);
/// How long the body of a request to the proxy itself may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// The largest body that is read although nobody wants it, in bytes.
const MAX_DISCARDED: usize = 64 * 1024;
/// How long that may take.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);
const LARGE_BODIES_OPEN: &str = "as many bodies of more than 64 KiB come as there is room for";

/// Why there is no answer, and how much of the request's body was taken until then.
pub(crate) struct Failure {
    pub(crate) error: ProxyError,
    pub(crate) taken: Taken,
}

/// Refuses every method but `allow`.
pub(crate) async fn expect_method(
    client: &mut Wire,
    request: &Request,
    allow: &'static str,
    endpoint: &'static str,
) -> Result<(), Failure> {
    if request.method == allow {
        return Ok(());
    }
    let method = request.method.to_string();
    let taken = discard(client, request).await;
    Err(Failure { error: ProxyError::Method { endpoint, allow, method }, taken })
}

/// The whole body, if it is no longer than `limit` and comes in time. Wiped when dropped: it may be
/// credentials.
pub(crate) async fn read(
    client: &mut Wire,
    request: &Request,
    limit: usize,
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    timeout(BODY_TIMEOUT, read_without_limit_of_time(client, request, limit)).await.unwrap_or_else(
        |_| {
            let reason = format!("it did not come within {} seconds", BODY_TIMEOUT.as_secs());
            Err(Failure { error: ProxyError::Body(reason), taken: Taken::Part })
        },
    )
}

async fn read_without_limit_of_time(
    client: &mut Wire,
    request: &Request,
    limit: usize,
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let too_large = |taken| Failure { error: ProxyError::TooLarge { limit }, taken };
    let busy =
        || Failure { error: ProxyError::Busy(LARGE_BODIES_OPEN.to_owned()), taken: Taken::Part };
    let broken = |error: BodyError| Failure {
        error: ProxyError::Body(error.to_string()),
        taken: Taken::Part,
    };
    // Room for all of it: a copy that grows leaves others behind.
    let mut body = Zeroizing::new(Vec::new());
    let mut large: Option<SemaphorePermit<'_>> = None;
    if let Framing::Length(length) = request.framing {
        match usize::try_from(length) {
            // Beyond that when it comes: a client may say what it likes.
            Ok(length) if length <= limit => body.reserve_exact(length.min(MAX_SMALL_BODY)),
            _ if request.expects_continue => return Err(too_large(Taken::Nothing)),
            _ => return Err(too_large(Taken::Part)),
        }
    }
    if request.expects_continue {
        client.begin_continue();
        let told = poll_fn(|context| client.poll_flush(context)).await;
        told.map_err(|error| broken(error.into()))?;
    }
    while let Piece::Data = poll_fn(|context| client.poll_piece(context)).await.map_err(broken)? {
        let piece = client.piece();
        let length = body.len() + piece.len();
        if length > limit {
            return Err(too_large(Taken::Part));
        }
        if length > MAX_SMALL_BODY && large.is_none() {
            large = Some(LARGE_BODIES.try_acquire().map_err(|_| busy())?);
        }
        if length > body.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(2 * length));
            larger.extend_from_slice(&body);
            body = larger;
        }
        let taken = piece.len();
        body.extend_from_slice(piece);
        client.consume_secret(taken);
    }
    Ok(body)
}

/// Takes a body that nobody wants, if it is small and comes soon: then the client can go on using
/// its connection.
pub(crate) async fn discard(client: &mut Wire, request: &Request) -> Taken {
    match request.framing {
        Framing::Empty => return Taken::All,
        _ if request.expects_continue => return Taken::Nothing,
        Framing::Length(length) if length > MAX_DISCARDED as u64 => return Taken::Part,
        _ => {}
    }
    let mut left = MAX_DISCARDED;
    let discarded = timeout(
        DISCARD_TIMEOUT,
        poll_fn(|context| {
            loop {
                match ready!(client.poll_piece(context)) {
                    Ok(Piece::End) => return Poll::Ready(Taken::All),
                    Ok(Piece::Data) if client.piece().len() <= left => {
                        let length = client.piece().len();
                        left -= length;
                        client.consume(length);
                    }
                    Ok(Piece::Data) | Err(_) => return Poll::Ready(Taken::Part),
                }
            }
        }),
    );
    discarded.await.unwrap_or(Taken::Part)
}

/// Found when all of the request was there.
impl From<ProxyError> for Failure {
    fn from(error: ProxyError) -> Self {
        Self { error, taken: Taken::All }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::Stream;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn a_body_is_not_waited_for_for_ever() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut client = Wire::new(Stream::Tcp(listener.accept().await.unwrap().0));
        peer.write_all(b"PUT / HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf").await.unwrap();
        let request = poll_fn(|context| client.poll_request(context)).await.unwrap().unwrap();
        let start = Instant::now();
        let Err(Failure { error, taken }) = read(&mut client, &request, 100).await else {
            panic!("it did not all come");
        };
        assert!((BODY_TIMEOUT..2 * BODY_TIMEOUT).contains(&start.elapsed()));
        assert_eq!(taken, Taken::Part);
        assert!(error.to_string().contains("within 60 seconds"), "{error}");
    }
}
