//! Tests of admission, over real sockets.

use super::*;
use crate::inbound::Listen;
use crate::inbound::{Listeners, bind};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tracing_subscriber::fmt::MakeWriter;

const LOOPBACK: &str = "127.0.0.0/8";

fn admission(user: Option<&str>, network: Option<&str>) -> Admission {
    Admission {
        user: user.map(str::to_owned),
        network: network.map(|network| network.parse().unwrap()),
    }
}

/// An admitter for a user with this uid, which does not depend on the user who runs the tests.
fn admitter(uid: Option<u32>, network: Option<&str>) -> Admitter {
    let user = uid.map(|uid| User { name: "task".to_owned(), id: UserId::Uid(uid) });
    let owners = OwnerLookup::new().unwrap();
    Admitter { rule: Some(Rule { user, network: admission(None, network).network, owners }) }
}

fn peer_at(client: &str) -> Peer {
    let local = SocketAddr::from(([127, 0, 0, 1], 80)).into();
    Peer::Tcp { client: client.parse::<SocketAddr>().unwrap().into(), local }
}

async fn listeners(address: Option<&str>) -> Listeners {
    let address = address.map(|address| address.parse().unwrap());
    bind(&Listen { address, port: 0 }, &Admission::default()).await.unwrap()
}

mod rules {
    use super::*;

    fn is_admitted(uid: Option<u32>, network: Option<&str>, peer: &str, owner: &Owner) -> bool {
        let peer = peer_at(peer);
        admitter(uid, network).rule.unwrap().check(&peer, Ok(owner.clone())).is_ok()
    }

    fn of_uid(uid: u32) -> Owner {
        Owner::User(UserId::Uid(uid))
    }

    #[test]
    fn user_and_root_get_in() {
        for (owner, expected) in [
            (of_uid(0), true),
            (of_uid(1000), true),
            (of_uid(1001), false),
            (Owner::NoProcess, false),
            (Owner::NotVisible, false),
        ] {
            assert_eq!(is_admitted(Some(1000), None, "127.0.0.1:1", &owner), expected, "{owner:?}");
        }
    }

    #[test]
    fn a_network_is_for_sockets_that_are_not_visible() {
        for uid in [None, Some(1000)] {
            for (peer, owner, expected) in [
                ("172.17.0.2:1", Owner::NotVisible, true),
                ("172.18.0.2:1", Owner::NotVisible, false),
                ("[fd00::1]:1", Owner::NotVisible, false),
                ("[::ffff:172.17.0.2]:1", Owner::NotVisible, true),
                ("172.17.0.1:1", Owner::NoProcess, false),
                ("172.17.0.1:1", of_uid(1001), false),
                ("172.17.0.1:1", of_uid(0), true),
                ("172.17.0.1:1", of_uid(1000), uid.is_some()),
            ] {
                let admitted = is_admitted(uid, Some("172.17.0.0/16"), peer, &owner);
                assert_eq!(admitted, expected, "{uid:?} {peer} {owner:?}");
            }
        }
    }

    #[test]
    fn a_lookup_that_fails_admits_nobody() {
        let rule = admitter(Some(0), Some(LOOPBACK)).rule.unwrap();
        let peer = peer_at("127.0.0.1:1");
        assert!(rule.check(&peer, Err(io::ErrorKind::NotFound.into())).is_err());
    }

    #[test]
    fn users_are_looked_up_at_the_start() {
        let rule = Admitter::new(&admission(Some("root"), None)).unwrap().rule.unwrap();
        assert_eq!(rule.user.unwrap().id, UserId::Uid(0));
        let error = Admitter::new(&admission(Some("no-such-user"), None)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "--allowed-user: expected a user of this machine, found none named \
             \"no-such-user\": create the user first, or name another"
        );
        assert!(Admitter::new(&Admission::default()).unwrap().rule.is_none());
    }
}

mod sockets {
    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Log {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    /// The next connection's verdict, and what is logged about it.
    async fn next(listeners: &mut Listeners, admitter: &Admitter) -> (Verdict, String) {
        let log = Log::default();
        let subscriber =
            tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false).finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let (stream, peer) = listeners.accept().await;
        let verdict = admitter.admit(&stream, &peer).await;
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        (verdict, log)
    }

    #[tokio::test]
    async fn of_this_process() {
        let uid = nix::unistd::geteuid().as_raw();
        for address in [Some("127.0.0.1"), Some("::1"), None] {
            let mut listeners = listeners(address).await;
            let bound = listeners.local_addrs()[0];
            let loopback = SocketAddr::new([127, 0, 0, 1].into(), bound.port());
            let target = if address.is_none() { loopback } else { bound };
            let _client = TcpStream::connect(target).await.unwrap();
            let admitted = (Verdict::Admitted, String::new());
            assert_eq!(next(&mut listeners, &admitter(Some(uid), None)).await, admitted);
        }
    }

    #[tokio::test]
    async fn from_an_ipv6_socket_that_speaks_ipv4() {
        let uid = nix::unistd::geteuid().as_raw();
        let mut listeners = listeners(Some("127.0.0.1")).await;
        let port = listeners.local_addrs()[0].port();
        let mapped: SocketAddr = format!("[::ffff:127.0.0.1]:{port}").parse().unwrap();
        let _client = TcpStream::connect(mapped).await.unwrap();
        let admitted = (Verdict::Admitted, String::new());
        assert_eq!(next(&mut listeners, &admitter(Some(uid), None)).await, admitted);
    }

    /// Its socket has no owner any more, so it is rejected, also with an allowed address; but it is not
    /// logged, because workers send such probes.
    #[tokio::test]
    async fn a_probe_is_rejected_without_a_log_line() {
        let mut listeners = listeners(Some("127.0.0.1")).await;
        drop(TcpStream::connect(listeners.local_addrs()[0]).await.unwrap());
        let rejected = (Verdict::Rejected(Rejection::Gone), String::new());
        assert_eq!(next(&mut listeners, &admitter(None, Some(LOOPBACK))).await, rejected);
    }

    #[tokio::test]
    async fn a_request_of_a_client_that_has_closed_its_socket_is_logged() {
        let mut listeners = listeners(Some("127.0.0.1")).await;
        let mut client = TcpStream::connect(listeners.local_addrs()[0]).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        drop(client);
        let (verdict, log) = next(&mut listeners, &admitter(None, Some(LOOPBACK))).await;
        assert_eq!(verdict, Verdict::Rejected(Rejection::Gone));
        assert!(log.contains("which no process has open any more"), "{log}");
    }

    /// A reset removes the socket, and with it the owner, but leaves the request to be read.
    #[tokio::test]
    async fn a_connection_that_was_reset_is_not_a_containers() {
        let mut listeners = listeners(Some("127.0.0.1")).await;
        let mut client = TcpStream::connect(listeners.local_addrs()[0]).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        let (verdict, log) = next(&mut listeners, &admitter(None, Some(LOOPBACK))).await;
        assert_eq!(verdict, Verdict::Rejected(Rejection::Gone));
        assert!(log.contains("which no process has open any more"), "{log}");
    }

    /// Needs root, to connect as another user.
    #[tokio::test]
    async fn of_another_user() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        const NOBODY: u32 = 65534;
        let mut listeners = listeners(Some("127.0.0.1")).await;
        let port = listeners.local_addrs()[0].port();
        for (admitter, verdict) in [
            (admitter(Some(NOBODY), None), Verdict::Admitted),
            (admitter(Some(1000), Some(LOOPBACK)), Verdict::Rejected(Rejection::User)),
            (admitter(None, Some(LOOPBACK)), Verdict::Rejected(Rejection::User)),
        ] {
            // Runs until its standard input ends.
            let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port}; echo GET >&3; read");
            let mut client = Command::new("setpriv")
                .args([&format!("--reuid={NOBODY}"), "--clear-groups", "bash", "-c", &script])
                .stdin(Stdio::piped())
                .spawn()
                .unwrap();
            let (found, log) = next(&mut listeners, &admitter).await;
            drop(client.stdin.take());
            client.wait().unwrap();
            assert_eq!(found, verdict);
            if verdict == Verdict::Admitted {
                assert_eq!(log, "");
            } else {
                assert!(log.contains("WARN"), "{log}");
                assert!(log.contains("Rejected connection: from 127.0.0.1:"), "{log}");
                assert!(log.contains(", of uid 65534, expected "), "{log}");
                assert!(log.contains("root (uid 0), or a container's"), "{log}");
            }
        }
    }
}
