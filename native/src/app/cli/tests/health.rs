//! Tests of `--health`: which options it shares with a start.

use super::*;
use crate::app::health_check::Listening;
use crate::inbound::Listen;

fn health(args: &[&str]) -> Listening {
    match read(args, &Env::new()) {
        Ok(Command::Health(listening)) => listening,
        other => panic!("{args:?}: {other:?}"),
    }
}

#[test]
fn health_needs_only_the_listening_options() {
    assert_eq!(health(&["--health"]), Listening::default());
    let listen = Some(Listen { address: Some("127.0.0.2".parse().unwrap()), port: 80 });
    let expected = Listening { listen, ..Listening::default() };
    assert_eq!(health(&["-p80", "--health", "-i127.0.0.2"]), expected);
    let (certificate, socket) = (Some("/c.pem".into()), Some("/s".into()));
    let expected = Listening { certificate, socket, ..Listening::default() };
    assert_eq!(health(&["--health", "--tls-cert", "/c.pem", "--socket", "/s"]), expected);
}

#[test]
fn health_with_only_a_key() {
    let error = error(&["--health", "--tls-key", "/k.pem"], &Env::new());
    assert!(error.contains("--tls-cert"), "{error}");
}

#[test]
fn health_with_an_invalid_port() {
    let error = error(&["--health", "--port", "-1"], &Env::new());
    assert_eq!(error, "port -1 is not in range [0,65535]");
}
