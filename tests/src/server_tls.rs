//! The server's side of TLS in tests: a new self-signed certificate, a file for clients to trust it,
//! and the CONNECT request of a client that uses a forward proxy.

use crate::http1::Head;
use rustls::ServerConfig;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

/// A file with a certificate to trust, for `SSL_CERT_FILE`; removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Authority(PathBuf);

/// Accepts TLS connections with a new certificate for `host` that is valid from the beginning of one
/// year to that of another one, and with the application protocol `alpn`.
pub(crate) fn acceptor(host: &str, valid: [i32; 2], alpn: &str) -> (TlsAcceptor, Authority) {
    let mut params = rcgen::CertificateParams::new([host.to_owned()])
        .expect("there can be a certificate for the host");
    [params.not_before, params.not_after] = valid.map(|year| rcgen::date_time_ymd(year, 1, 1));
    // Clients look up trusted roots by subject.
    params.distinguished_name.push(rcgen::DnType::CommonName, host);
    let signing_key = rcgen::KeyPair::generate().expect("there are keys");
    let cert = params.self_signed(&signing_key).expect("a key signs");
    let key = signing_key.serialize_der().try_into().expect("the key is in PKCS #8");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring supports the defaults")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .expect("the key fits the certificate");
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    (Arc::new(config).into(), Authority::new(&cert.pem()))
}

/// Reads a CONNECT request and responds 200.
pub(crate) async fn accept_connect(stream: &mut TcpStream) -> io::Result<Head> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await?);
    }
    stream.write_all(b"HTTP/1.1 200 \r\n\r\n").await?;
    Ok(Head::read(&mut bytes.as_slice())?.expect("it is not empty"))
}

impl Authority {
    fn new(pem: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("taskcluster-proxy-tests-{}-{number}.pem", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, pem).expect("temporary files can be created");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        // If that fails, the system cleans up temporary files some day.
        let _ = std::fs::remove_file(&self.0);
    }
}
