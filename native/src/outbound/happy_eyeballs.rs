//! TCP connections to hosts with several addresses, of which some may not respond (RFC 8305, "Happy
//! Eyeballs").

use socket2::{SockRef, TcpKeepalive};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;

/// The idle time before the first TCP keep-alive probe, and the interval of further ones. Only these probes
/// detect a peer that disappeared without closing the connection. The value is that of the Go proxy.
pub(crate) const KEEPALIVE: Duration = Duration::from_secs(15);

/// The time after which TCP closes a connection whose peer does not acknowledge data (RFC 5482). Linux also
/// counts the time in which the peer's receive window is closed, so a shorter timeout would abort uploads
/// to a busy upstream.
#[cfg(target_os = "linux")]
const USER_TIMEOUT: Duration = Duration::from_secs(60);

/// The Connection Attempt Delay that RFC 8305 section 5 recommends: the delay before the next address is
/// tried as well.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The maximum number of failed addresses that are remembered; the oldest are forgotten first.
const MAX_FAILED: usize = 64;

/// Connects to the first address that responds, and remembers addresses that did not.
#[derive(Debug, Default)]
pub(super) struct HappyEyeballs {
    /// The addresses whose last attempt failed, the latest failure last.
    failed: RefCell<VecDeque<SocketAddr>>,
}

impl HappyEyeballs {
    /// Connects to one of `addresses`. The next address is tried when the previous one fails or does not
    /// respond within [`ATTEMPT_DELAY`]. The first established connection is returned, or `None` if all
    /// addresses have failed or there are none. `on_failure` is called for each attempt that fails.
    ///
    /// # Errors
    ///
    /// The task of an attempt panicked.
    pub(super) async fn connect(
        &self,
        addresses: &[SocketAddr],
        on_failure: impl Fn(SocketAddr, io::Error),
    ) -> Result<Option<TcpStream>, JoinError> {
        let mut untried = addresses.iter();
        let mut attempts = JoinSet::new();
        let mut latest = None;
        loop {
            if let Some(&address) = untried.next() {
                latest = Some(address);
                attempts.spawn(async move { (address, connect(address).await) });
            }
            let is_last = untried.len() == 0;
            tokio::select! {
                ended = attempts.join_next() => match ended {
                    Some(Ok((address, Ok(stream)))) => {
                        self.forget(address);
                        return Ok(Some(stream));
                    }
                    Some(Ok((address, Err(error)))) => {
                        self.record_failure(address);
                        on_failure(address, error);
                    }
                    Some(Err(error)) => return Err(error),
                    None if is_last => return Ok(None),
                    None => {}
                },
                () = sleep(ATTEMPT_DELAY), if !is_last => {
                    latest.inspect(|&address| self.record_failure(address));
                }
            }
        }
    }

    /// Sorts addresses into the order in which they are tried: as the system prefers them (RFC 6724), with
    /// IPv6 and IPv4 alternating (RFC 8305 section 4), and addresses that failed recently last.
    pub(super) fn order(&self, addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
        let first_is_ipv6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
        let (preferred, other): (Vec<_>, Vec<_>) =
            addresses.into_iter().partition(|address| address.is_ipv6() == first_is_ipv6);
        let ranked = |family: Vec<SocketAddr>| family.into_iter().enumerate();
        let mut ordered: Vec<_> = ranked(preferred)
            .map(|(rank, address)| (2 * rank, address))
            .chain(ranked(other).map(|(rank, address)| (2 * rank + 1, address)))
            .collect();
        let failed = self.failed.borrow();
        ordered.sort_by_key(|(rank, address)| {
            (failed.iter().position(|failed| failed == address), *rank)
        });
        ordered.into_iter().map(|(_, address)| address).collect()
    }

    /// Records that an address refused the connection, did not respond, or could not be used after
    /// connecting. It is tried last from then on.
    pub(super) fn record_failure(&self, address: SocketAddr) {
        self.forget(address);
        let mut failed = self.failed.borrow_mut();
        failed.push_back(address);
        if failed.len() > MAX_FAILED {
            failed.pop_front();
        }
    }

    fn forget(&self, address: SocketAddr) {
        self.failed.borrow_mut().retain(|failed| *failed != address);
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    let options = SockRef::from(&socket);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
    options.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    options.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    socket.set_nodelay(true)?;
    socket.connect(address).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbound::connect_error::AddressFailures;
    use tokio::net::TcpListener;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn address_families_alternate_and_failed_addresses_come_last() {
        let found =
            addresses(&["[2001:db8::1]:1", "[2001:db8::2]:1", "192.0.2.1:1", "192.0.2.2:1"]);
        let happy_eyeballs = HappyEyeballs::default();
        let ordered = || happy_eyeballs.order(found.clone());
        let turns = ["[2001:db8::1]:1", "192.0.2.1:1", "[2001:db8::2]:1", "192.0.2.2:1"];
        assert_eq!(ordered(), addresses(&turns));
        happy_eyeballs.record_failure(found[2]);
        happy_eyeballs.record_failure(found[0]);
        let last = ["[2001:db8::2]:1", "192.0.2.2:1", "192.0.2.1:1", "[2001:db8::1]:1"];
        assert_eq!(ordered(), addresses(&last));
        // The latest failure is the last one, whenever the first was.
        happy_eyeballs.record_failure(found[2]);
        assert_eq!(ordered().last(), Some(&found[2]));
        happy_eyeballs.forget(found[0]);
        happy_eyeballs.forget(found[2]);
        assert_eq!(ordered(), addresses(&turns));
    }

    #[test]
    fn the_oldest_failures_are_forgotten() {
        let happy_eyeballs = HappyEyeballs::default();
        for port in 0..1000 {
            happy_eyeballs.record_failure(([192, 0, 2, 1], port).into());
        }
        assert_eq!(happy_eyeballs.failed.borrow().len(), MAX_FAILED);
    }

    #[tokio::test]
    async fn an_address_that_refuses_is_skipped_and_remembered() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let closed = {
            let other = TcpListener::bind("127.0.0.2:0").await.unwrap();
            other.local_addr().unwrap()
        };
        let happy_eyeballs = HappyEyeballs::default();
        let stream = happy_eyeballs.connect(&[closed, address], |_, _| {}).await.unwrap().unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        assert_eq!(happy_eyeballs.order(vec![closed, address]), [address, closed]);
        let failures = RefCell::new(AddressFailures::default());
        let record = |address, error| failures.borrow_mut().0.push((address, error));
        assert!(happy_eyeballs.connect(&[closed], record).await.unwrap().is_none());
        let failures = failures.take();
        assert!(failures.0.iter().map(|(address, _)| *address).eq([closed]));
        assert!(failures.to_string().starts_with(&format!("{closed}: Connection refused")));
        assert!(happy_eyeballs.connect(&[], |_, _| {}).await.unwrap().is_none());
        assert_eq!(AddressFailures::default().to_string(), "the host has no addresses");
    }

    #[tokio::test]
    async fn connections_detect_that_the_peer_has_disappeared() {
        let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = connect(upstream.local_addr().unwrap()).await.unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap() && stream.nodelay().unwrap());
        // Windows has no call to read it.
        #[cfg(unix)]
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE);
    }
}
