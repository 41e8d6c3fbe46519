//! `--health`: asks the proxy that runs on this machine for a sign of life. An image from scratch has
//! no other program that could.

use crate::config::Listen;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Why the proxy is taken for ill.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unhealthy {
    /// Nobody listens.
    #[error("no connection to {address}: {reason}: is the proxy running, and is this its --port?")]
    NoConnection {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        reason: io::Error,
    },
    /// Somebody listens, and says too little.
    #[error(
        "no answer from {address} within {} s: {reason}: does --allowed-user keep this user out?",
        PATIENCE.as_secs()
    )]
    NoAnswer {
        /// Who.
        address: SocketAddr,
        /// What the system says.
        reason: io::Error,
    },
    /// Somebody answers who is not the proxy.
    #[error("expected an answer with {VERSION_HEADER} from {0}, found one of another program")]
    Stranger(SocketAddr),
}

/// Asks the proxy that was told to listen like this. Any answer of its own will do: whether the
/// services behind it are well is not its health.
///
/// # Errors
///
/// Nobody answers within 3 s, or another program does.
pub fn ask(listen: &Listen) -> Result<String, Unhealthy> {
    let address = loopback(listen);
    let deadline = Instant::now() + PATIENCE;
    let stream = TcpStream::connect_timeout(&address, PATIENCE)
        .map_err(|reason| Unhealthy::NoConnection { address, reason })?;
    let head = head_of_answer(stream, address, deadline)
        .map_err(|reason| Unhealthy::NoAnswer { address, reason })?;
    match version(&head) {
        Some(version) => Ok(format!("healthy: taskcluster-proxy {version} at {address}")),
        None => Err(Unhealthy::Stranger(address)),
    }
}

/// Where a proxy that listens everywhere is reached from its own machine.
fn loopback(listen: &Listen) -> SocketAddr {
    let address = match listen.address {
        None => Ipv4Addr::LOCALHOST.into(),
        Some(IpAddr::V4(address)) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        Some(IpAddr::V6(address)) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        Some(address) => address,
    };
    SocketAddr::new(address, listen.port)
}

fn head_of_answer(
    mut stream: TcpStream,
    address: SocketAddr,
    deadline: Instant,
) -> io::Result<String> {
    let request = format!("GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let (mut head, mut buffer) = (Vec::new(), [0; 4096]);
    while head.len() < LONGEST_HEAD && !head.windows(4).any(|end| end == b"\r\n\r\n") {
        // No longer than until the deadline, however slowly the answer trickles; none is not a timeout.
        let left = deadline.saturating_duration_since(Instant::now());
        stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        match stream.read(&mut buffer)? {
            0 if head.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
            0 => break,
            length => head.extend(buffer.iter().take(length)),
        }
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn version(head: &str) -> Option<&str> {
    let headers = head.lines().skip(1).take_while(|line| !line.is_empty());
    let mut fields = headers.filter_map(|line| line.split_once(':'));
    let (_, version) = fields.find(|(name, _)| name.eq_ignore_ascii_case(VERSION_HEADER))?;
    Some(version.trim())
}

const VERSION_HEADER: &str = "X-Taskcluster-Proxy-Version";

/// Docker and Kubernetes count what takes longer as failed by default, or soon after.
const PATIENCE: Duration = Duration::from_secs(3);

/// The proxy's own are shorter, unless the credentials have very many scopes.
const LONGEST_HEAD: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Asks a server that answers `answer`, whatever it is asked, and hangs up.
    fn asked(answer: &'static str) -> Result<String, Unhealthy> {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = server.local_addr().unwrap();
        let answers = std::thread::spawn(move || {
            let (mut client, _) = server.accept().unwrap();
            let mut request = [0; 1024];
            assert!(client.read(&mut request).unwrap() > 0);
            client.write_all(answer.as_bytes()).unwrap();
        });
        let found = ask(&Listen { address: Some(address.ip()), port: address.port() });
        answers.join().unwrap();
        found
    }

    #[test]
    fn any_answer_of_the_proxy_will_do() {
        let healthy = asked("HTTP/1.1 404 Not Found\r\nx-taskcluster-proxy-version: 1.2.3\r\n\r\n");
        let healthy = healthy.unwrap();
        assert!(healthy.starts_with("healthy: taskcluster-proxy 1.2.3 at 127.0.0.1:"), "{healthy}");
    }

    #[test]
    fn others_are_not_the_proxy() {
        for answer in
            ["HTTP/1.1 200 OK\r\nServer: x\r\n\r\nX-Taskcluster-Proxy-Version: 1", "nonsense"]
        {
            assert!(matches!(asked(answer), Err(Unhealthy::Stranger(_))), "{answer}");
        }
        assert!(matches!(asked(""), Err(Unhealthy::NoAnswer { .. })));
    }

    #[test]
    fn everywhere_is_asked_by_loopback() {
        for (address, expected) in [
            (None, "127.0.0.1:80"),
            (Some("0.0.0.0"), "127.0.0.1:80"),
            (Some("::"), "[::1]:80"),
            (Some("192.0.2.1"), "192.0.2.1:80"),
        ] {
            let address = address.map(|address| address.parse().unwrap());
            assert_eq!(loopback(&Listen { address, port: 80 }).to_string(), expected);
        }
    }
}
