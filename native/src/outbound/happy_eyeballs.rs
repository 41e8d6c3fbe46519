//! TCP connections to hosts that have several addresses, some of which may not respond (RFC 8305,
//! "Happy Eyeballs").

use super::connect_error::{AddressFailures, ConnectError};
use socket2::{SockRef, TcpKeepalive};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// After so much silence TCP asks whether the peer is still there, and so often again. Nothing else
/// ends the wait for a response from a machine that went away without closing the connection, or for a
/// client that did. The Go program's figure.
pub(crate) const KEEPALIVE: Duration = Duration::from_secs(15);

/// What was sent and is not acknowledged for so long was sent to a machine that is gone (RFC 5482).
/// Linux also counts the time in which an upstream that is there reads nothing: a shorter timeout would
/// abort uploads to one that is busy.
#[cfg(target_os = "linux")]
const USER_TIMEOUT: Duration = Duration::from_secs(60);

/// The Connection Attempt Delay that RFC 8305 section 5 recommends: how long one address has before the
/// next one is tried as well.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// So many addresses are remembered; of more, the oldest failures are forgotten.
const MAX_FAILED: usize = 64;

/// Connects to the first address that responds, and remembers those that did not.
#[derive(Debug, Default)]
pub(super) struct HappyEyeballs {
    /// Those whose last attempt failed; the latest failure comes last.
    failed: RefCell<VecDeque<SocketAddr>>,
}

impl HappyEyeballs {
    /// Connects to one of `addresses`. The next one is tried as soon as the one before fails, or does not
    /// respond for [`ATTEMPT_DELAY`]; the first connection that is established wins. `on_failure` is told
    /// of each attempt that fails.
    ///
    /// # Errors
    ///
    /// All have failed, or there are none.
    pub(super) async fn connect(
        &self,
        addresses: &[SocketAddr],
        on_failure: impl Fn(SocketAddr, &io::Error),
    ) -> Result<TcpStream, ConnectError> {
        let mut untried = addresses.iter();
        let mut attempts = JoinSet::new();
        let mut latest = None;
        let mut failures = Vec::new();
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
                        return Ok(stream);
                    }
                    Some(Ok((address, Err(error)))) => {
                        self.failed(address);
                        on_failure(address, &error);
                        failures.push((address, error));
                    }
                    // A task that panicked.
                    Some(Err(error)) => return Err(error.into()),
                    None if is_last => {
                        return Err(ConnectError::Addresses(AddressFailures(failures)));
                    }
                    None => {}
                },
                () = sleep(ATTEMPT_DELAY), if !is_last => {
                    latest.inspect(|&address| self.failed(address));
                }
            }
        }
    }

    /// The order in which addresses are tried: as the system prefers them (RFC 6724), IPv6 and IPv4 in
    /// turn (RFC 8305 section 4), and those that failed lately last.
    pub(super) fn ordered(&self, addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
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

    /// An address is to be tried last: it refused the connection, did not respond, or is of no use.
    pub(super) fn failed(&self, address: SocketAddr) {
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
    use tokio::net::TcpListener;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns_and_failures_come_last() {
        let found =
            addresses(&["[2001:db8::1]:1", "[2001:db8::2]:1", "192.0.2.1:1", "192.0.2.2:1"]);
        let happy_eyeballs = HappyEyeballs::default();
        let ordered = || happy_eyeballs.ordered(found.clone());
        let turns = ["[2001:db8::1]:1", "192.0.2.1:1", "[2001:db8::2]:1", "192.0.2.2:1"];
        assert_eq!(ordered(), addresses(&turns));
        happy_eyeballs.failed(found[2]);
        happy_eyeballs.failed(found[0]);
        let last = ["[2001:db8::2]:1", "192.0.2.2:1", "192.0.2.1:1", "[2001:db8::1]:1"];
        assert_eq!(ordered(), addresses(&last));
        // The latest failure is the last one, whenever the first was.
        happy_eyeballs.failed(found[2]);
        assert_eq!(ordered().last(), Some(&found[2]));
        happy_eyeballs.forget(found[0]);
        happy_eyeballs.forget(found[2]);
        assert_eq!(ordered(), addresses(&turns));
    }

    #[test]
    fn failures_are_forgotten_some_time() {
        let happy_eyeballs = HappyEyeballs::default();
        for port in 0..1000 {
            happy_eyeballs.failed(([192, 0, 2, 1], port).into());
        }
        assert_eq!(happy_eyeballs.failed.borrow().len(), MAX_FAILED);
    }

    #[tokio::test]
    async fn an_address_that_refuses_is_passed_over_and_remembered() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let closed = {
            let other = TcpListener::bind("127.0.0.2:0").await.unwrap();
            other.local_addr().unwrap()
        };
        let happy_eyeballs = HappyEyeballs::default();
        let stream = happy_eyeballs.connect(&[closed, address], |_, _| {}).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        assert_eq!(happy_eyeballs.ordered(vec![closed, address]), [address, closed]);
        let told = RefCell::new(Vec::new());
        let tell = |address, _: &io::Error| told.borrow_mut().push(address);
        let error = happy_eyeballs.connect(&[closed], tell).await.unwrap_err().to_string();
        assert_eq!(told.take(), [closed]);
        assert!(error.starts_with(&format!("{closed}: Connection refused")));
        let error = happy_eyeballs.connect(&[], |_, _| {}).await.unwrap_err().to_string();
        assert_eq!(error, "the host has no addresses");
    }

    #[tokio::test]
    async fn connections_find_out_when_the_peer_is_gone() {
        let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = connect(upstream.local_addr().unwrap()).await.unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap() && stream.nodelay().unwrap());
        // Windows does not tell.
        #[cfg(unix)]
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE);
    }
}
