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
fn any_response_of_the_proxy_is_healthy() {
    let proxy = Proxy::sandbox().start();
    healthy(of(proxy.address()), &proxy.address().to_string());

    // A server that listens and never accepts.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (closed, silent) = (ClosedPort::take(), silent.local_addr().unwrap());
    unhealthy(of(closed.address()), &format!("no connection to {}: ", closed.address()));
    unhealthy(of(silent), &format!("no response from {silent} within 3 s: "));
}

#[cfg(unix)]
#[test]
fn of_a_unix_socket() {
    let folder = Folder::new();
    let path = folder.path("proxy.sock");
    let at = format!("unix:{}", path.display());
    let socket = |builder: ProxyBuilder| builder.args(["--socket".as_ref(), path.as_os_str()]);
    let error = unhealthy(socket(health_check()), &format!("no connection to {at}: "));
    assert!(error.contains("is this its --socket?"), "{error}");
    let alone = socket(Proxy::sandbox()).without_tcp().start();
    healthy(socket(health_check()), &at);
    drop(alone);

    let both = socket(Proxy::sandbox()).start();
    healthy(socket(of(both.address())), &format!("{} and {at}", both.address()));
    // One listener that does not respond is enough.
    std::fs::remove_file(&path).unwrap();
    unhealthy(socket(of(both.address())), &format!("no connection to {at}: "));
}

#[test]
fn of_a_tls_listener() {
    let folder = Folder::new();
    // The certificate is untrusted, and for another name.
    let proxy = Proxy::sandbox().with_tls(&folder, "proxy.example").start();
    let address = proxy.address();
    healthy(of(address).with_certificate(&folder.path("cert.pem")), &address.to_string());
    let log = proxy.wait_for_log("method=GET path=/ status=404");
    assert!(!log.contains("WARN"), "{log}");

    let error = unhealthy(of(address), &format!("expected plain HTTP from {address}, found TLS"));
    assert!(error.contains("--tls-cert"), "{error}");
    let other = folder.put("other.pem", &self_signed("proxy.example")[0]);
    let expected = format!("expected the certificate of --tls-cert from {address}, found another");
    unhealthy(of(address).with_certificate(&other), &expected);
    let none = folder.path("none.pem");
    let expected = format!("--tls-cert {none:?}: cannot be read: ");
    unhealthy(of(address).with_certificate(&none), &expected);
    let plain = Proxy::sandbox().start();
    let expected = format!("expected TLS from {}, found none", plain.address());
    unhealthy(of(plain.address()).with_certificate(&other), &expected);
}

/// The files have changed, and the proxy has not noticed yet.
#[test]
fn of_a_listener_whose_certificate_is_being_replaced() {
    let folder = Folder::new();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (old, new) = (self_signed("old.example"), self_signed("new.example"));
    let file = folder.put("cert.pem", &new[0]);
    let server = std::thread::spawn(move || {
        for pair in [old, new] {
            let (tcp, _) = listener.accept().unwrap();
            let mut tls = StreamOwned::new(ServerConnection::new(showing(&pair)).unwrap(), tcp);
            // A client that does not accept the certificate only sends an alert.
            if tls.read(&mut [0; 1024]).is_ok_and(|length| length > 0) {
                tls.write_all(b"HTTP/1.1 404 \r\nX-Taskcluster-Proxy-Version: 0\r\n\r\n").unwrap();
            }
        }
    });
    let finished = of(address).with_certificate(&file).run();
    let expected = format!("healthy: taskcluster-proxy 0 at {address}\n");
    assert_eq!(finished.stdout, expected, "{finished:?}");
    server.join().unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn of_a_proxy_that_rejects_the_user() {
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
    let error =
        unhealthy(daemon(of(plain.address())), &format!("no response from {}", plain.address()));
    assert!(error.contains("does --allowed-user keep this user out?"), "{error}");
    healthy(of(plain.address()), &plain.address().to_string());

    let tls = Proxy::sandbox().args(["--allowed-user", "nobody"]).with_tls(&folder, "x.example");
    let (tls, certificate) = (tls.start(), folder.path("cert.pem"));
    std::fs::set_permissions(&certificate, std::fs::Permissions::from_mode(0o644)).unwrap();
    let check = of(tls.address()).with_certificate(&certificate);
    let error = unhealthy(daemon(check), &format!("no response from {}", tls.address()));
    assert!(error.contains("does --allowed-user keep this user out?"), "{error}");
}

fn health_check() -> ProxyBuilder {
    Proxy::builder().args(["--health"])
}

/// Checks the proxy that listens at this address.
fn of(address: SocketAddr) -> ProxyBuilder {
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

fn healthy(check: ProxyBuilder, at: &str) {
    let ProcessOutput { status, stdout, stderr } = check.run();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(stdout, format!("healthy: taskcluster-proxy {version} at {at}\n"), "{stderr}");
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
}

/// Fails unless it prints one line that begins like this, and exits with status 1.
fn unhealthy(check: ProxyBuilder, expected: &str) -> String {
    let ProcessOutput { status, stdout, stderr } = check.run();
    assert_eq!((status.code(), stdout.as_str()), (Some(1), ""), "{stderr}");
    assert!(stderr.starts_with(&format!("taskcluster-proxy: {expected}")), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    stderr
}

/// A TLS server with this certificate and key.
fn showing([certificate, key]: &[String; 2]) -> Arc<ServerConfig> {
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth();
    Arc::new(config.with_single_cert(vec![certificate], key).unwrap())
}
