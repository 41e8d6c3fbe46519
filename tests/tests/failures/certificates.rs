//! Certificates that private authorities, gateways and `openssl req -x509` make, and the errors for
//! certificates that are not accepted. The upstream is `openssl s_server`.
#![cfg(target_os = "linux")]

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use support::{Folder, Proxy, Response, skip};

/// A script that makes a self-signed certificate for localhost and its key in the current folder.
const SELF_SIGNED: &str = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
    -keyout key.pem -out cert.pem -subj /CN=localhost -addext subjectAltName=DNS:localhost";

/// `openssl s_server`, killed when this is dropped.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start(folder: &Folder, arguments: &[&str]) -> Self {
        let mut command = Command::new("openssl");
        command.current_dir(folder.path(".")).args(["s_server", "-www", "-accept", "127.0.0.1:0"]);
        command.args(["-cert", "cert.pem", "-key", "key.pem"]).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("openssl is installed");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let port = lines
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("ACCEPT ")?.rsplit_once(':')?.1.parse().ok());
        Self { child, port: port.expect("openssl prints where it listens") }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a script that makes certificates in a new folder; `None` if openssl is not installed.
fn create(script: &str) -> Option<Folder> {
    if Command::new("openssl").arg("version").output().is_err() {
        skip("openssl is not installed");
        return None;
    }
    let folder = Folder::new();
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(folder.path("."))
        .output()
        .expect("bash is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(folder)
}

/// The response through the proxy from the server at `https://<host>:<port>`, with `roots` trusted.
fn get(server: &Server, host: &str, roots: PathBuf) -> Response {
    Proxy::in_front_of(format!("https://{host}:{}", server.port))
        .env("SSL_CERT_FILE", roots)
        .args(["--retry-budget", "0"])
        .start()
        .get("/api/queue/v1/x")
}

/// A script that makes an authority, `root.pem`, and a server's certificate: both keys are on `curve`,
/// signatures use `hash`.
fn chain(curve: &str, hash: &str) -> String {
    format!(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:{curve} -{hash} -nodes -keyout ca.key \
            -out root.pem -subj '/O=Corp/CN=Corp CA'
         openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:{curve} -{hash} -nodes -keyout key.pem \
            -out csr.pem -subj /CN=localhost
         openssl x509 -req -in csr.pem -CA root.pem -CAkey ca.key -CAcreateserial -{hash} -days 30 \
            -extfile <(echo subjectAltName=DNS:localhost) -out cert.pem"
    )
}

#[test]
fn a_self_signed_certificate_that_is_trusted_itself_is_accepted() {
    let Some(folder) = create(SELF_SIGNED) else { return };
    let server = Server::start(&folder, &[]);
    let response = get(&server, "localhost", folder.path("cert.pem"));
    assert_eq!(response.status(), 200, "{}", response.text());
    // But only for its name.
    let response = get(&server, "127.0.0.1", folder.path("cert.pem"));
    let message = response.assert_error(502, "UpstreamUnreachable");
    assert!(message.contains("is for another name than 127.0.0.1"), "{message}");
}

/// Certificates are compared byte for byte: another one with the same key and name is not trusted.
#[test]
fn a_self_signed_certificate_like_a_trusted_one_is_not_accepted() {
    let script = format!(
        "{SELF_SIGNED}; mv cert.pem root.pem; openssl req -x509 -key key.pem -out cert.pem \
         -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    );
    let Some(folder) = create(&script) else { return };
    let server = Server::start(&folder, &[]);
    let message =
        get(&server, "localhost", folder.path("root.pem")).assert_error(502, "UpstreamUnreachable");
    assert!(message.contains("is for a certificate authority, not a server"), "{message}");
}

#[test]
fn curves_and_hashes_of_private_authorities_are_accepted() {
    for (curve, hash) in [
        ("P-256", "sha256"),
        ("P-256", "sha384"),
        ("P-256", "sha512"),
        ("P-384", "sha256"),
        ("P-384", "sha384"),
        ("P-384", "sha512"),
        ("P-521", "sha256"),
        ("P-521", "sha384"),
        ("P-521", "sha512"),
    ] {
        let Some(folder) = create(&chain(curve, hash)) else { return };
        for version in ["-tls1_2", "-tls1_3"] {
            let server = Server::start(&folder, &[version]);
            let response = get(&server, "localhost", folder.path("root.pem"));
            println!("{curve} {hash} {version}: {}", response.status());
            assert_eq!(response.status(), 200, "{curve} {hash} {version}: {}", response.text());
        }
    }
}

#[test]
fn servers_that_exchange_keys_on_p_521_alone_are_reached() {
    let Some(folder) = create(&chain("P-256", "sha256")) else { return };
    for version in ["-tls1_2", "-tls1_3"] {
        let server = Server::start(&folder, &[version, "-groups", "P-521"]);
        let response = get(&server, "localhost", folder.path("root.pem"));
        assert_eq!(response.status(), 200, "{version}: {}", response.text());
        assert!(response.text().contains("secp521r1"), "{version}: {}", response.text());
    }
}

/// An authority of the same name with another key: the signature is invalid.
#[test]
fn certificates_signed_with_another_key_are_not_accepted() {
    for (curve, hash) in
        [("P-256", "sha512"), ("P-384", "sha512"), ("P-521", "sha384"), ("P-521", "sha512")]
    {
        let script = format!(
            "{}; openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:{curve} -{hash} -nodes \
             -keyout other.key -out root.pem -subj '/O=Corp/CN=Corp CA'",
            chain(curve, hash)
        );
        let Some(folder) = create(&script) else { return };
        let server = Server::start(&folder, &[]);
        let message = get(&server, "localhost", folder.path("root.pem"))
            .assert_error(502, "UpstreamUnreachable");
        assert!(message.contains("was not signed by the trusted certificate"), "{message}");
        assert!(message.contains("issuer CN=Corp CA,O=Corp"), "{message}");
    }
}

/// Of an authority (`openssl req -x509` makes such) or not: there is no name to compare, and it would be
/// of no use to trust it once more.
#[test]
fn a_trusted_self_signed_certificate_without_a_name_is_explained() {
    for constraints in ["", "-addext basicConstraints=critical,CA:FALSE"] {
        let script = format!(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem \
             -out cert.pem -subj /CN=localhost {constraints}"
        );
        let Some(folder) = create(&script) else { return };
        let server = Server::start(&folder, &[]);
        for (host, name) in [("localhost", "DNS:localhost"), ("127.0.0.1", "IP:127.0.0.1")] {
            let response = get(&server, host, folder.path("cert.pem"));
            let message = response.assert_error(502, "UpstreamUnreachable");
            let expected = format!(
                "has no subjectAltName with a host, and so no name to compare with {host}: use one \
                 that has it (openssl req -x509 ... -addext subjectAltName={name})"
            );
            assert!(message.contains(&expected), "{constraints}: {message}");
            assert!(!message.contains("to trust this certificate itself"), "{message}");
        }
    }
}

/// The error says what is wrong and what to change, without Rust's debug output.
#[test]
fn each_tls_failure_is_explained() {
    let good = chain("P-256", "sha256");
    let with = |end: &str| format!("{good}; {end}");
    let issued = |extension: &str, more: &str| {
        format!(
            "{good}; openssl x509 -req -in csr.pem -CA root.pem -CAkey ca.key {more} \
             -extfile <(echo '{extension}') -out cert.pem"
        )
    };
    const NAME: &str = "subjectAltName=DNS:localhost";
    let other_root = with(
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout x.key -out root.pem -subj /CN=Other",
    );
    let rsa_1024 = with(
        "openssl req -x509 -newkey rsa:1024 -nodes -keyout key.pem -out cert.pem -subj /CN=localhost \
         -addext subjectAltName=DNS:localhost -addext basicConstraints=CA:FALSE; cp cert.pem root.pem",
    );
    let version_1 =
        with("openssl x509 -req -in csr.pem -CA root.pem -CAkey ca.key -days 30 -out cert.pem");
    let cases: [(&str, String, &[&str], &str); 12] = [
        (
            "another root",
            other_root,
            &[],
            "was not issued by a certificate that is trusted: add the",
        ),
        (
            "another name",
            issued("subjectAltName=DNS:a.test", ""),
            &[],
            "is for another name than localhost",
        ),
        ("no name", issued("basicConstraints=CA:FALSE", ""), &[], "it has no subjectAltName"),
        (
            "expired",
            issued(NAME, "-days -1"),
            &[],
            "has expired: renew it on the server, or correct this machine",
        ),
        (
            "certificate for clients",
            issued(&format!("{NAME}\nextendedKeyUsage=clientAuth"), ""),
            &[],
            "is not for servers",
        ),
        (
            "certificate of an authority",
            SELF_SIGNED.to_owned()
                + "; openssl req -x509 -newkey rsa:2048 -nodes -keyout x -out root.pem -subj /CN=Other",
            &[],
            "certificate authority, not a server: to trust this",
        ),
        ("RSA 1024", rsa_1024, &["-cipher", "ALL:@SECLEVEL=0"], "RSA needs 2048 bits"),
        ("version 1", version_1, &[], "has X.509 version 1 or 2"),
        (
            "TLS 1.1",
            good.clone(),
            &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
            "neither TLS 1.2 nor TLS 1.3",
        ),
        (
            "no cipher suite",
            good.clone(),
            &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"],
            "no cipher suite",
        ),
        (
            "client certificate, TLS 1.2",
            good.clone(),
            &["-tls1_2", "-Verify", "1"],
            "requires a client certificate",
        ),
        (
            "critical extension",
            issued(&format!("{NAME}\n1.2.3.4=critical,ASN1:NULL"), ""),
            &[],
            "has a critical extension",
        ),
    ];
    for (case, script, arguments, expected) in cases {
        let Some(folder) = create(&script) else { return };
        let server = Server::start(&folder, arguments);
        let response = get(&server, "localhost", folder.path("root.pem"));
        let message = response.assert_error(502, "UpstreamUnreachable");
        println!("{case}:\n  {message}");
        assert!(message.contains(expected), "{case}: {message}");
    }
}
