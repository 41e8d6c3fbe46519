//! `--tls-cert` and `--tls-key`: TLS between client and proxy.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use support::admin::assert_samples;
use support::{DEADLINE, Folder, Proxy, ScriptedResponse, Upstream, self_signed};

#[test]
fn requests_updates_and_signed_urls_work_over_tls() {
    let folder = Folder::new();
    let proxy = Proxy::sandbox().with_tls(&folder, "127.0.0.1").start();
    let url = format!("https://{}", proxy.address());
    let curl = |rest: &[&str]| {
        let trusted = folder.path("cert.pem");
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail", "--noproxy", "*", "--cacert"]);
        let output = curl.arg(trusted).args(rest).output().expect("curl runs");
        assert!(output.status.success(), "{rest:?}: {output:?}");
        String::from_utf8(output.stdout).expect("responses are text")
    };
    let ping = format!("{url}/api/queue/v1/ping");
    // Two requests on one connection, by a client that prefers HTTP/2.
    let format = " %{http_version} %{num_connects}\n";
    let responses = curl(&["--http2", "--write-out", format, &ping, &ping]);
    let written: Vec<_> = responses.lines().filter_map(|line| line.split_once("} ")).collect();
    assert_eq!([written[0].1, written[1].1], ["1.1 1", "1.1 0"], "{responses}");
    let signed = curl(&["--data", "https://tc.example.com/x", &format!("{url}/bewit")]);
    assert!(signed.starts_with("https://tc.example.com/x?bewit="), "{signed}");
    let new = r#"{"clientId": "c/1", "accessToken": "new"}"#;
    let put =
        curl(&["--include", "--request", "PUT", "--data", new, &format!("{url}/credentials")]);
    assert!(put.contains("Perm-Clientid: c/1"), "{put}");
}

#[test]
fn only_http_1_1_is_negotiated() {
    let folder = Folder::new();
    let proxy = Proxy::sandbox().with_tls(&folder, "127.0.0.1").start();
    let mut both = client_of(&proxy, &folder, &["h2", "http/1.1"]);
    assert!(exchange(&mut both).starts_with("HTTP/1.1 200 "));
    assert_eq!(both.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    let error = client_of(&proxy, &folder, &["h2"]).write_all(b"x").unwrap_err();
    assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
}

#[test]
fn bodies_stream_and_truncation_is_visible() {
    const LENGTH: usize = 16 * 1024 * 1024;
    let responses =
        [ScriptedResponse::large(LENGTH as u64), ScriptedResponse::truncated(10, "four")];
    let (upstream, folder) = (Upstream::start(responses), Folder::new());
    let proxy = Proxy::in_front_of(upstream.root_url()).with_tls(&folder, "127.0.0.1").start();
    let body = "x".repeat(LENGTH);
    let mut client = client(&proxy, &folder);
    client.write_all(&support::request("PUT", "/api/queue/v1/x", &body)).unwrap();
    let mut response = vec![0; LENGTH];
    client.read_exact(&mut response).unwrap();
    assert_eq!(upstream.wait_for_requests(1)[0].body_length, LENGTH as u64);

    let mut client = self::client(&proxy, &folder);
    client.write_all(&support::request("GET", "/api/queue/v1/x", "")).unwrap();
    let error = client.read_to_end(&mut response).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof, "{error}");
}

#[test]
fn plain_http_gets_a_tls_alert() {
    let folder = Folder::new();
    let proxy = Proxy::sandbox().with_tls(&folder, "127.0.0.1").start();
    let mut plain = proxy.connect();
    // Large enough that the connection would be reset if it were closed at once.
    plain.send(support::request("PUT", "/credentials", "x".repeat(8 * 1024 * 1024)));
    plain.finish_sending();
    // A fatal alert (RFC 8446 section 5.1).
    let alert = plain.read_to_end();
    assert_eq!((alert[0], alert.len(), alert[5]), (21, 7, 2), "{alert:?}");
}

#[test]
fn the_connection_ends_with_close_notify() {
    let folder = Folder::new();
    let builder = Proxy::sandbox().with_tls(&folder, "127.0.0.1");
    let proxy = builder.args(["--head-timeout", "0.3"]).start();
    let mut idle = client(&proxy, &folder);
    // Without close_notify this would be an error.
    assert_eq!(idle.read_to_end(&mut Vec::new()).unwrap(), 0);
}

#[test]
fn a_slow_handshake_delays_no_other_client_and_times_out() {
    let folder = Folder::new();
    let proxy = Proxy::sandbox().with_tls(&folder, "127.0.0.1");
    let proxy = proxy.args(["--head-timeout", "2"]).start();
    let mut silent: Vec<_> = (0..10).map(|_| proxy.connect()).collect();
    // The first bytes of a handshake.
    silent[0].send([22, 3, 1]);
    assert!(get(&proxy, &folder).starts_with("HTTP/1.1 200 "));
    for connection in &mut silent {
        assert_eq!(connection.read_to_end(), b"");
    }
}

#[test]
fn a_handshake_that_fails_is_logged_and_counted() {
    let folder = Folder::new();
    let proxy = Proxy::sandbox().with_tls(&folder, "127.0.0.1");
    let proxy = proxy.args(["--head-timeout", "1", "--admin", "127.0.0.1:0"]).start();
    // Workers probe the port like this; it is not logged.
    drop(TcpStream::connect(proxy.address()).unwrap());
    let mut slow = proxy.connect();
    slow.send([22]);
    let mut plain = proxy.connect();
    plain.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    plain.finish_sending();
    plain.read_to_end();
    let distrust = Folder::new();
    distrust.put("cert.pem", &self_signed("127.0.0.1")[0]);
    client(&proxy, &distrust).write_all(b"x").unwrap_err();
    for (what, expected) in [
        ("plain HTTP", "no TLS handshake: expected TLS, found something else"),
        ("a distrusting client", "no TLS handshake: the client does not accept the certificate ("),
        ("a slow one", "no TLS handshake within 1 s"),
    ] {
        let line = proxy.wait_for_log(expected);
        assert!(
            line.contains("level=WARN message=\"Rejected connection: from 127.0.0.1:"),
            "{what}: {line}"
        );
    }
    assert_eq!(slow.read_to_end(), b"");
    assert_eq!(proxy.log().matches("Rejected connection").count(), 3, "{}", proxy.log());
    let metrics = proxy.metrics();
    assert_samples(
        &metrics,
        &[
            ("rejected_connections_total{reason=\"tls\"}", 3.0),
            ("rejected_connections_total{reason=\"gone\"}", 1.0),
            ("connections_total", 4.0),
            ("connections", 0.0),
        ],
    );
}

/// It is rejected before the handshake, and does not even learn that the listener speaks TLS.
#[cfg(target_os = "linux")]
#[test]
fn a_rejected_client_gets_no_response() {
    use support::users::{DAEMON, NOBODY, as_user, can_switch_users, status_for};
    if !can_switch_users(&[["curl", "--version"]]) {
        return;
    }
    let folder = Folder::new();
    let proxy = Proxy::sandbox().with_tls(&folder, "127.0.0.1");
    let proxy = proxy.args(["--allowed-user", "nobody", "--admin", "127.0.0.1:0"]).start();
    let url = format!("https://{}/api/queue/v1/ping", proxy.address());
    assert_eq!(status_for(NOBODY, &["--insecure", &url]), 200);
    assert_eq!(status_for(DAEMON, &["--insecure", &url]), 0);
    // An allowed client would get an alert for this.
    let port = proxy.address().port();
    let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port}; echo GET >&3; cat <&3; true");
    let output = as_user(DAEMON, "bash").args(["-c", &script]).output().expect("setpriv runs");
    assert!(output.stdout.is_empty(), "{output:?}");
    let last = format!("https://{}/api/queue/v1/last", proxy.address());
    status_for(NOBODY, &["--insecure", &last]);
    proxy.wait_for_log("/api/queue/v1/last");
    let expected = "of uid 1, expected user nobody (uid 65534) or root (uid 0)";
    let log = proxy.log();
    let rejected: Vec<_> = log.lines().filter(|line| line.contains("Rejected conn")).collect();
    assert!(rejected.len() == 2 && rejected.iter().all(|line| line.contains(expected)), "{log}");
    let metrics = proxy.metrics();
    assert_samples(
        &metrics,
        &[
            ("rejected_connections_total{reason=\"user\"}", 2.0),
            ("rejected_connections_total{reason=\"tls\"}", 0.0),
            ("connections_total", 4.0),
        ],
    );
}

#[cfg(unix)]
#[test]
fn shutdown_does_not_wait_for_handshakes() {
    let folder = Folder::new();
    let proxy = Proxy::sandbox().with_tls(&folder, "127.0.0.1");
    let proxy = proxy.args(["--drain-timeout", "5"]).start();
    let mut silent = proxy.connect();
    // This response shows that the silent connection was accepted, too.
    assert!(get(&proxy, &folder).starts_with("HTTP/1.1 200 "));
    proxy.signal("TERM");
    let ended = proxy.wait();
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(silent.read_to_end(), b"");
}

#[test]
fn a_replaced_certificate_is_loaded() {
    let folder = Folder::new();
    let proxy = Proxy::sandbox().with_tls(&folder, "127.0.0.1").start();
    let mut old = client(&proxy, &folder);
    assert!(exchange(&mut old).starts_with("HTTP/1.1 200 "));

    let [_, key] = self_signed("127.0.0.1");
    folder.put("key.pem", key);
    let warning = proxy.wait_for_log("the TLS certificate stays as it is");
    assert!(warning.contains("cannot be used together"), "{warning}");
    assert!(get(&proxy, &folder).starts_with("HTTP/1.1 200 "));

    let first = std::fs::read(folder.path("cert.pem")).unwrap();
    let [certificate, key] = self_signed("127.0.0.1");
    folder.put("key.pem", key);
    folder.put("cert.pem", certificate);
    proxy.wait_for_log("new TLS certificate from");
    assert!(get(&proxy, &folder).starts_with("HTTP/1.1 200 "));
    // An open connection keeps the old certificate.
    assert!(exchange(&mut old).starts_with("HTTP/1.1 200 "));
    folder.put("cert.pem", first);
    let error = client(&proxy, &folder).write_all(b"x").unwrap_err();
    assert!(error.to_string().contains("invalid peer certificate"), "{error}");
}

#[test]
fn unusable_files_are_rejected_at_the_start() {
    let folder = Folder::new();
    let [certificate, key] = self_signed("127.0.0.1");
    let [_, other] = self_signed("127.0.0.1");
    let canary = "-----BEGIN PRIVATE KEY-----\nY2FuYXJ5\n-----END PRIVATE KEY-----\n";
    for (certificate, key, expected) in [
        ("", key.as_str(), "expected certificates in PEM, the server's own first, found none"),
        (&key, &key, "expected certificates in PEM, the server's own first, found none"),
        (&certificate, "", "expected a private key in PEM (PKCS #8, PKCS #1 or SEC 1), found none"),
        (&certificate, canary, "--tls-cert and --tls-key cannot be used together: "),
        (&certificate, &other, "--tls-cert and --tls-key cannot be used together: "),
    ] {
        let (cert, key) = (folder.put("cert.pem", certificate), folder.put("key.pem", key));
        let pair = ["--tls-cert".as_ref(), cert.as_os_str(), "--tls-key".as_ref(), key.as_os_str()];
        for checks in [false, true] {
            let builder = Proxy::sandbox().args(["--port", "0"]).args(pair);
            let ended = builder.args(checks.then_some("--check")).run();
            assert_eq!(ended.status.code(), Some(1));
            let output = if checks { &ended.stdout } else { &ended.stderr };
            assert!(output.contains(expected), "{output}");
            assert!(!output.contains("canary") && !output.contains("Y2Fu"), "{output}");
        }
    }
    let missing =
        Proxy::sandbox().args(["--tls-cert", "/none.pem", "--tls-key", "/none.pem"]).run();
    let expected = "--tls-cert \"/none.pem\": cannot be read: No such file";
    assert!(missing.stderr.contains(expected), "{}", missing.stderr);
}

type Client = StreamOwned<ClientConnection, TcpStream>;

/// A client that trusts the certificate in `folder`, before the handshake.
fn client(proxy: &Proxy, folder: &Folder) -> Client {
    client_of(proxy, folder, &[])
}

/// The same client, with these application protocols (ALPN).
fn client_of(proxy: &Proxy, folder: &Folder, protocols: &[&str]) -> Client {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.path("cert.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let tls = ClientConnection::new(Arc::new(config), "127.0.0.1".try_into().unwrap()).unwrap();
    let tcp = TcpStream::connect(proxy.address()).unwrap();
    tcp.set_read_timeout(Some(DEADLINE)).unwrap();
    StreamOwned::new(tls, tcp)
}

fn get(proxy: &Proxy, folder: &Folder) -> String {
    exchange(&mut client(proxy, folder))
}

/// Sends a request and returns the start of the response, up to the first `}`.
fn exchange(client: &mut Client) -> String {
    client.write_all(&support::request("GET", "/api/queue/v1/ping", "")).unwrap();
    let mut response = String::new();
    while !response.ends_with('}') {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        response.push(byte[0].into());
    }
    response
}
