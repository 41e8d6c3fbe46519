//! Tests of the values of options, and of their defaults.

use super::*;
use crate::admin::Address;
use crate::inbound::{self, Listen, SocketFile};
use crate::outbound;
use crate::proxy::{self, CredentialsFrom};
use crate::telemetry::log::{LogFormat, Logging};
use std::net::IpAddr;
use taskcluster_proxy_core::proxy::HostPattern;
use tracing_subscriber::filter::LevelFilter;
use url::Host;

#[test]
fn defaults() {
    let config = run(&[]);
    assert_eq!(config.inbound, inbound::Config::default());
    assert_eq!(config.proxy, proxy::Config::default());
    assert_eq!(config.outbound, outbound::Config::default());
    assert_eq!((config.task_id, config.scopes), (None, vec![]));
    assert_eq!(config.credentials_drain, Duration::from_secs(5));
    assert_eq!(config.drain_timeout, Duration::from_secs(30));
    assert_eq!(config.logging, Logging::new(LevelFilter::INFO, LogFormat::Text));
    assert_eq!(config.admin, None);
}

#[test]
fn valid_values() {
    for (text, expected) in
        [("0.0.0.0", "0.0.0.0"), ("::1", "::1"), ("::ffff:127.0.0.1", "127.0.0.1")]
    {
        let expected: IpAddr = expected.parse().unwrap();
        assert_eq!(run(&["-i", text]).inbound.listen.unwrap().address, Some(expected));
    }
    for (text, expected) in [("0", 0), ("080", 80), ("65535", 65535)] {
        assert_eq!(run(&["-p", text]).inbound.listen.unwrap().port, expected);
    }
    for (text, expected) in [
        ("10.1.2.3/8", "10.0.0.0/8"),
        ("172.17.0.2", "172.17.0.2/32"),
        ("fd00::1/64", "fd00::/64"),
        ("::1", "::1/128"),
        ("::ffff:10.1.0.0/112", "10.1.0.0/16"),
    ] {
        let network = run(&["--allowed-network", text]).inbound.admission.network.unwrap();
        assert_eq!(network.to_string(), expected);
    }
    for (text, millis) in [("0", 0), ("0.25", 250), (".5", 500), ("3600", 3_600_000)] {
        let drain = run(&["--credentials-drain", text]).credentials_drain;
        assert_eq!(drain, Duration::from_millis(millis));
    }
    let limits = [
        ["--connect-timeout", "0.001"],
        ["--head-timeout", "3600"],
        ["--upstream-idle-timeout", "0"],
        ["--retry-budget", "2.5"],
        ["--drain-timeout", "0.5"],
        ["--replay-buffer", "0"],
        ["--replay-total", "1048576"],
    ];
    let limited = run(limits.as_flattened());
    let (inbound, outbound) = (limited.inbound, limited.outbound);
    assert_eq!(outbound.connect_timeout, Duration::from_millis(1));
    assert_eq!(inbound.header_timeout, Duration::from_secs(3600));
    assert_eq!(outbound.idle_timeout, Duration::ZERO);
    assert_eq!(limited.drain_timeout, Duration::from_millis(500));
    assert_eq!(outbound.retries.budget, Duration::from_millis(2500));
    assert_eq!((outbound.replay_buffer, outbound.replay_total), (0, 1024 * 1024 * 1024));
    for (text, level) in [
        ("error", LevelFilter::ERROR),
        ("debug", LevelFilter::DEBUG),
        ("trace", LevelFilter::TRACE),
    ] {
        let mut env = complete();
        env.insert("RUST_LOG", text.into());
        for config in [run(&["--log-level", text]), config(&[], &env)] {
            assert_eq!(config.logging, Logging::new(level, LogFormat::Text));
        }
        let both = config(&["--log-level", "warn", "--log-format", "json"], &env).logging;
        assert_eq!(both, Logging::new(LevelFilter::WARN, LogFormat::Json));
    }
    for (text, address) in [("127.0.0.1:9", "127.0.0.1:9"), ("[::1]:0", "[::1]:0")] {
        let address = Address::Tcp(address.parse().unwrap());
        assert_eq!(run(&["--admin", text]).admin, Some(address));
    }
    assert_eq!(
        run(&["--allowed-user", "task_1"]).inbound.admission.user.as_deref(),
        Some("task_1")
    );
}

#[test]
fn listening_addresses() {
    let tcp = |address: Option<&str>, port| {
        Some(Listen { address: address.map(|address| address.parse().unwrap()), port })
    };
    let socket = |mode| Some(SocketFile { path: "/run/x.sock".into(), mode });
    for (args, expected) in [
        (&["-p", "80"][..], (tcp(None, 80), None)),
        (&["-i", "::1"], (tcp(Some("::1"), 8080), None)),
        (&["--socket", "/run/x.sock"], (None, socket(0o600))),
        (&["--socket", "/run/x.sock", "--socket-mode", "0660"], (None, socket(0o660))),
        (&["--socket", "/run/x.sock", "-p", "80"], (tcp(None, 80), socket(0o600))),
        (&["--socket", "/run/x.sock", "-i", "::1"], (tcp(Some("::1"), 8080), socket(0o600))),
    ] {
        let config = run(args);
        assert_eq!((config.inbound.listen, config.inbound.socket), expected, "{args:?}");
    }
}

#[test]
fn credentials_from() {
    for (text, expected) in [
        ("any", CredentialsFrom::Any),
        ("same-user", CredentialsFrom::SameUser),
        ("root", CredentialsFrom::Root),
    ] {
        assert_eq!(run(&["--credentials-from", text]).proxy.credentials_from, expected);
    }
}

#[test]
fn allow_host_can_be_repeated() {
    assert!(run(&[]).outbound.allowed_hosts.is_empty());
    let config = run(&["--allow-host", "a.example", "scope", "--allow-host=*.b.example"]);
    let expected = [
        HostPattern::Named(Host::parse("a.example").unwrap()),
        HostPattern::Subdomains(".b.example".into()),
    ];
    assert_eq!((config.outbound.allowed_hosts.as_slice(), config.scopes.len()), (&expected[..], 1));
    let message = error(&["--allow-host", "a.example", "--allow-host", "https://b"], &complete());
    assert_eq!(
        message,
        "--allow-host: expected a host name such as example.com, *.example.com for its subdomains, or \
         *, found \"https://b\""
    );
}

#[test]
fn invalid_values() {
    let address = "invalid IPv4/IPv6 address specified - cannot parse: ";
    let port = "port: expected a number in [0,65535], found ";
    let network = "--allowed-network: ";
    for (option, text, expected) in [
        ("--ip-address", "", address.to_owned()),
        ("--ip-address", "localhost", format!("{address}localhost")),
        ("--ip-address", "1.2.3", format!("{address}1.2.3")),
        ("--ip-address", "[::1]", format!("{address}[::1]")),
        ("--port", "-12345", "port -12345 is not in range [0,65535]".into()),
        ("--port", "-1", "port -1 is not in range [0,65535]".into()),
        ("--port", "65536", "port 65536 is not in range [0,65535]".into()),
        ("--port", "70000", "port 70000 is not in range [0,65535]".into()),
        (
            "--port",
            "99999999999999999999999",
            "port 99999999999999999999999 is not in range [0,65535]".into(),
        ),
        ("--port", "", format!("{port}\"\"")),
        ("--port", "http", format!("{port}\"http\"")),
        ("--port", "-", format!("{port}\"-\"")),
        ("--port", "80\n", format!("{port}\"80\\n\"")),
        ("--port", "8.0", format!("{port}\"8.0\"")),
        (
            "--task-id",
            "",
            "--task-id: expected a value, found an empty one: give one, or leave the option out"
                .into(),
        ),
        (
            "--allowed-user",
            "",
            "--allowed-user: expected a value, found an empty one: give one, or leave the \
             option out"
                .into(),
        ),
        (
            "--allowed-network",
            "docker0",
            format!(
                "{network}expected a network such as 172.17.0.0/16 or fd00::/64, or an \
                 address, found \"docker0\""
            ),
        ),
        (
            "--credentials-from",
            "Root",
            "--credentials-from: expected root, same-user or any, found \"Root\"".into(),
        ),
        (
            "--socket",
            "",
            "--socket: expected a value, found an empty one: give one, or leave the option out"
                .into(),
        ),
        (
            "--socket-mode",
            "600",
            "--socket-mode: expected --socket as well, found none: give both, or leave this \
             option out"
                .into(),
        ),
        (
            "--log-level",
            "INFO",
            "--log-level: expected error, warn, info, debug or trace, found \"INFO\"".into(),
        ),
        ("--log-format", "xml", "--log-format: expected text or json, found \"xml\"".into()),
    ] {
        assert_eq!(error(&[option, text], &complete()), expected);
    }
    for text in ["0.0.0.0/0", "::/0", "10.0.0.0/0", "::ffff:0.0.0.0/96"] {
        let message = error(&["--allowed-network", text], &complete());
        assert!(message.contains("would allow every peer"), "{message}");
    }
    for (option, min) in [
        ("--credentials-drain", "0 (do not wait)"),
        ("--connect-timeout", "0.001"),
        ("--head-timeout", "0.001"),
        ("--upstream-idle-timeout", "0 (keep none)"),
        ("--drain-timeout", "0 (do not wait)"),
        ("--retry-budget", "0 (no retries)"),
    ] {
        let seconds = format!("{option}: expected a number of seconds from {min} to 3600");
        for text in ["", "-1", "inf", "nan", "1e3", "3600.1", "5s", ".", "1.2.3"] {
            let message = error(&[option, text], &complete());
            assert_eq!(message, format!("{seconds}, found \"{text}\""));
        }
    }
    for option in ["--connect-timeout", "--head-timeout"] {
        assert!(error(&[option, "0"], &complete()).ends_with("found \"0\""));
    }
    for option in ["--replay-buffer", "--replay-total"] {
        for text in ["", "-1", "1.5", "+1", "1KiB", "1048577", "99999999999999999999999"] {
            let message = error(&[option, text], &complete());
            let kib = "expected a whole number of KiB from 0 (keep nothing) to 1048576";
            assert_eq!(message, format!("{option}: {kib}, found \"{text}\""));
        }
    }
    for text in ["", "-1", "+600", "1000", "680", "rw", "0o600"] {
        let message = error(&["--socket", "x", "--socket-mode", text], &complete());
        let octal = "expected permissions in octal, from 0 to 777, such as 660";
        assert_eq!(message, format!("--socket-mode: {octal}, found \"{text}\""));
    }
    for text in ["", "9090", "localhost:9090", "::1:9090", "unix:"] {
        let message = error(&["--admin", text], &complete());
        assert!(message.starts_with("--admin: expected an address and a port"), "{message}");
        assert!(message.ends_with(&format!("found \"{text}\"")), "{message}");
    }
    let message = error(&["a\tb"], &complete());
    assert!(message.starts_with("scope: expected a scope of printable ASCII"), "{message}");
}
