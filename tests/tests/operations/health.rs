//! `--health`: a container's health check, for every kind of listener.

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use support::{ClosedPort, Folder, ProcessOutput, Proxy, ProxyBuilder, self_signed};

#[test]
fn any_response_of_the_proxy_means_healthy() {
    let proxy = Proxy::sandbox().start();
    assert_healthy(check_of(proxy.address()), &proxy.address().to_string());

    // A server that listens and never accepts.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (closed, silent) = (ClosedPort::take(), silent.local_addr().unwrap());
    assert_unhealthy(
        check_of(closed.address()),
        &format!("no connection to {}: ", closed.address()),
    );
    assert_unhealthy(check_of(silent), &format!("no response from {silent} within 3 s: "));
}

#[cfg(unix)]
#[test]
fn a_unix_socket_is_checked() {
    let folder = Folder::new();
    let path = folder.path("proxy.sock");
    let at = format!("unix:{}", path.display());
    let socket = |builder: ProxyBuilder| builder.args(["--socket".as_ref(), path.as_os_str()]);
    let error = assert_unhealthy(socket(health_check()), &format!("no connection to {at}: "));
    assert!(error.contains("is this its --socket?"), "{error}");
    let proxy = socket(Proxy::sandbox()).without_tcp().start();
    assert_healthy(socket(health_check()), &at);
    drop(proxy);

    let both = socket(Proxy::sandbox()).start();
    assert_healthy(socket(check_of(both.address())), &format!("{} and {at}", both.address()));
    // One listener that does not respond makes it unhealthy.
    std::fs::remove_file(&path).unwrap();
    assert_unhealthy(socket(check_of(both.address())), &format!("no connection to {at}: "));
}

#[test]
fn a_tls_listener_is_checked_with_its_certificate() {
    let folder = Folder::new();
    // The certificate is untrusted, and for another name.
    let proxy = Proxy::sandbox().with_tls(&folder, "proxy.example").start();
    let address = proxy.address();
    assert_healthy(
        check_of(address).with_certificate(&folder.path("cert.pem")),
        &address.to_string(),
    );
    let log = proxy.wait_for_log("method=GET path=/ status=404");
    assert!(!log.contains("WARN"), "{log}");

    let error = assert_unhealthy(
        check_of(address),
        &format!("expected plain HTTP from {address}, found TLS"),
    );
    assert!(error.contains("--tls-cert"), "{error}");
    let other = folder.put("other.pem", &self_signed("proxy.example")[0]);
    let expected = format!("expected the certificate of --tls-cert from {address}, found another");
    assert_unhealthy(check_of(address).with_certificate(&other), &expected);
    let none = folder.path("none.pem");
    let expected = format!("--tls-cert {none:?}: cannot be read: ");
    assert_unhealthy(check_of(address).with_certificate(&none), &expected);
    let plain = Proxy::sandbox().start();
    let expected = format!("expected TLS from {}, found none", plain.address());
    assert_unhealthy(check_of(plain.address()).with_certificate(&other), &expected);
}

/// The file has changed, and the proxy has not loaded it yet.
#[test]
fn a_proxy_that_still_uses_the_replaced_certificate_is_healthy() {
    let folder = Folder::new();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (old, new) = (self_signed("old.example"), self_signed("new.example"));
    let file = folder.put("cert.pem", &new[0]);
    let server = std::thread::spawn(move || {
        for pair in [old, new] {
            let (tcp, _) = listener.accept().unwrap();
            let mut tls = StreamOwned::new(ServerConnection::new(tls_config(&pair)).unwrap(), tcp);
            // A client that does not accept the certificate only sends an alert.
            if tls.read(&mut [0; 1024]).is_ok_and(|length| length > 0) {
                tls.write_all(b"HTTP/1.1 404 \r\nX-Taskcluster-Proxy-Version: 0\r\n\r\n").unwrap();
            }
        }
    });
    let finished = check_of(address).with_certificate(&file).run();
    let expected = format!("healthy: taskcluster-proxy 0 at {address}\n");
    assert_eq!(finished.stdout, expected, "{finished:?}");
    server.join().unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_proxy_that_rejects_the_user_is_unhealthy() {
    use std::os::unix::fs::PermissionsExt as _;
    use support::users::{DAEMON, can_switch_users};
    if !can_switch_users(&[]) {
        return;
    }
    let folder = Folder::new();
    let daemon = |builder: ProxyBuilder| {
        builder.under(["setpriv", "--reuid", DAEMON, "--clear-groups", "--"])
    };
    let plain = Proxy::sandbox().args(["--allowed-user", "nobody"]).start();
    let error = assert_unhealthy(
        daemon(check_of(plain.address())),
        &format!("no response from {}", plain.address()),
    );
    assert!(error.contains("does --allowed-user exclude this user?"), "{error}");
    assert_healthy(check_of(plain.address()), &plain.address().to_string());

    let tls = Proxy::sandbox().args(["--allowed-user", "nobody"]).with_tls(&folder, "x.example");
    let (tls, certificate) = (tls.start(), folder.path("cert.pem"));
    std::fs::set_permissions(&certificate, std::fs::Permissions::from_mode(0o644)).unwrap();
    let check = check_of(tls.address()).with_certificate(&certificate);
    let error = assert_unhealthy(daemon(check), &format!("no response from {}", tls.address()));
    assert!(error.contains("does --allowed-user exclude this user?"), "{error}");
}

fn health_check() -> ProxyBuilder {
    Proxy::builder().args(["--health"])
}

/// A health check of the proxy that listens at this address.
fn check_of(address: SocketAddr) -> ProxyBuilder {
    let (ip, port) = (address.ip().to_string(), address.port().to_string());
    health_check().args(["--ip-address", &ip, "--port", &port])
}

trait WithCertificate {
    fn with_certificate(self, file: &Path) -> Self;
}

impl WithCertificate for ProxyBuilder {
    fn with_certificate(self, file: &Path) -> Self {
        self.args(["--tls-cert".as_ref(), file.as_os_str()])
    }
}

fn assert_healthy(check: ProxyBuilder, at: &str) {
    let ProcessOutput { status, stdout, stderr } = check.run();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(stdout, format!("healthy: taskcluster-proxy {version} at {at}\n"), "{stderr}");
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
}

/// Fails unless the check exits with status 1 and one line that begins like this, which it returns.
fn assert_unhealthy(check: ProxyBuilder, expected: &str) -> String {
    let ProcessOutput { status, stdout, stderr } = check.run();
    assert_eq!((status.code(), stdout.as_str()), (Some(1), ""), "{stderr}");
    assert!(stderr.starts_with(&format!("taskcluster-proxy: {expected}")), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    stderr
}

/// A TLS server with this certificate and key.
fn tls_config([certificate, key]: &[String; 2]) -> Arc<ServerConfig> {
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth();
    Arc::new(config.with_single_cert(vec![certificate], key).unwrap())
}
