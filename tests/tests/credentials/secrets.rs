//! No response, no log line at any level and no command line contains a secret, whatever is requested
//! and however it fails (docs/compatibility.md, S8).

use serde_json::{Value, json};
use std::any::Any;
use support::{
    ClosedPort, Connection, Proxy, ScriptedResponse, Tls, Upstream, certificate, request,
};

/// Part of every secret below, and of nothing else.
const CANARY: &str = "cAnArY";

#[test]
fn no_output_contains_a_secret() {
    let mut outputs = Vec::new();
    for start in
        [in_front_of_services(), in_front_of_a_closed_port(), in_front_of_an_untrusted_host()]
    {
        let (proxy, _kept) = start;
        let cmdline = std::fs::read(format!("/proc/{}/cmdline", proxy.id()));
        outputs.push(("the command line".to_owned(), cmdline.unwrap_or_default()));
        for request_bytes in every_request() {
            let mut connection = proxy.connect();
            // The proxy may reject it before all of it is sent.
            let _ = connection.try_send(&request_bytes);
            let shown =
                String::from_utf8_lossy(&request_bytes[..request_bytes.len().min(60)]).into_owned();
            outputs.push((shown, read_all(connection)));
        }
        let log = proxy.whole_log();
        assert!(log.contains("method=PUT path=/credentials status=400"), "{log}");
        let finished = proxy.kill();
        outputs.push(("stdout".to_owned(), finished.stdout.into_bytes()));
        // A recent signature is as useful as a secret.
        for signature in ["Hawk id", "mac=\"", "bewit="] {
            assert!(!finished.stderr.contains(signature), "{signature}: {}", finished.stderr);
        }
        outputs.push(("stderr".to_owned(), finished.stderr.into_bytes()));
    }
    let responses = outputs.iter().filter(|(_, text)| text.starts_with(b"HTTP/1.1 ")).count();
    assert!(responses > 60, "{responses}");
    for (source, text) in outputs {
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(!text.to_lowercase().contains(&CANARY.to_lowercase()), "{source}: {text}");
    }
}

#[test]
fn no_failed_start_reveals_a_secret() {
    let bad = [
        ("TASKCLUSTER_ROOT_URL", "ftp://x"),
        ("TASKCLUSTER_ROOT_URL", ""),
        ("TASKCLUSTER_CLIENT_ID", ""),
    ];
    let certificates =
        [canary_certificate().to_string(), format!("{{\"seed\":\"{CANARY}\""), CANARY.to_owned()];
    for ((name, value), certificate) in bad
        .into_iter()
        .flat_map(|bad| certificates.iter().map(move |certificate| (bad, certificate)))
    {
        let proxy = Proxy::in_front_of("http://127.0.0.1:1")
            .env("TASKCLUSTER_ACCESS_TOKEN", format!("token-{CANARY}"))
            .env("TASKCLUSTER_CERTIFICATE", certificate)
            .env(name, value)
            .args(["--log-level", "trace"]);
        let finished = proxy.run();
        assert!(!finished.status.success());
        assert!(!finished.stderr.contains(CANARY), "{}", finished.stderr);
        assert!(!finished.stdout.contains(CANARY), "{}", finished.stdout);
    }
}

#[test]
fn a_token_on_the_command_line_causes_a_warning() {
    let on_command_line = Proxy::builder()
        .args(["--root-url", "http://127.0.0.1:1", "--client-id", "tester"])
        .args(["--access-token", &format!("token-{CANARY}")])
        .start();
    let warning = on_command_line.wait_for_log("--access-token");
    assert!(warning.contains("WARN") && warning.contains("TASKCLUSTER_ACCESS_TOKEN"), "{warning}");
    assert!(!on_command_line.log().contains(CANARY), "{}", on_command_line.log());
    let in_environment = Proxy::in_front_of("http://127.0.0.1:1").start();
    assert!(!in_environment.log().contains("WARN"), "{}", in_environment.log());
}

#[test]
#[cfg(target_os = "linux")]
fn core_dumps_are_disabled() {
    let proxy = Proxy::in_front_of("http://127.0.0.1:1").start();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", proxy.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let words: Vec<&str> = core.split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"], "{core}");
}

/// Root owns the memory and the environment of the process, not the user that it runs as.
#[test]
#[cfg(target_os = "linux")]
fn other_processes_of_the_user_cannot_read_memory_and_environment() {
    use std::io::{BufRead as _, BufReader};
    use std::os::unix::fs::MetadataExt as _;
    use std::process::{Command, Stdio};
    use support::users::NOBODY;
    let copy =
        std::env::temp_dir().join(format!("taskcluster-proxy-secrets-{}", std::process::id()));
    std::fs::copy(support::binary(), &copy).unwrap();
    let start = Command::new("setpriv")
        .args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"])
        .arg(&copy)
        .args(["--sandbox", "--port", "0", "--ip-address", "127.0.0.1"])
        .stderr(Stdio::piped())
        .spawn();
    let mut proxy = start.expect("util-linux has setpriv");
    let mut lines = BufReader::new(proxy.stderr.take().unwrap()).lines().map_while(Result::ok);
    let listens = lines.any(|line| line.contains("listening on"));
    let owner =
        |file: &str| std::fs::metadata(format!("/proc/{}/{file}", proxy.id())).map(|it| it.uid());
    let owners = [owner("mem"), owner("environ")].map(Result::ok);
    proxy.kill().unwrap();
    proxy.wait().unwrap();
    std::fs::remove_file(copy).unwrap();
    if !listens {
        return support::skip("only root can start the proxy as another user");
    }
    assert_eq!(owners, [Some(0), Some(0)]);
}

/// A proxy with temporary credentials and authorized scopes.
fn with_secrets(root_url: &str) -> support::ProxyBuilder {
    Proxy::in_front_of(root_url)
        .env("TASKCLUSTER_ACCESS_TOKEN", format!("token-{CANARY}"))
        .env("TASKCLUSTER_CERTIFICATE", canary_certificate().to_string())
        .args(["--log-level", "trace", "--retry-budget", "0.1", "--credentials-drain", "0", "a:b"])
}

/// A proxy, and the servers that must not be dropped before it.
fn in_front_of_services() -> (Proxy, Box<dyn Any>) {
    let mut responses = [
        ScriptedResponse::ok("up"),
        ScriptedResponse::status(503),
        ScriptedResponse::nothing().then_reset(),
        ScriptedResponse::bytes("not HTTP\r\n\r\n").then_close(),
        ScriptedResponse::truncated(100, "four"),
        ScriptedResponse::bytes("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n").then_close(),
        ScriptedResponse::bytes("HTTP/1.1 101 \r\n\r\n").then_close(),
    ]
    .into_iter()
    .cycle();
    let upstream = Upstream::start(move |_: &support::Request| responses.next().unwrap());
    (with_secrets(&upstream.root_url()).start(), Box::new(upstream))
}

fn in_front_of_a_closed_port() -> (Proxy, Box<dyn Any>) {
    let port = ClosedPort::take();
    let proxy = with_secrets(&port.root_url()).start();
    (proxy, Box::new(port))
}

fn in_front_of_an_untrusted_host() -> (Proxy, Box<dyn Any>) {
    let upstream = Upstream::start([ScriptedResponse::ok("up")]);
    let tls = Tls::for_host("elsewhere.example.test").start(&upstream);
    let proxy = with_secrets(&format!("https://localhost:{}", tls.address().port()))
        .env("SSL_CERT_FILE", tls.authority())
        .start();
    (proxy, Box::new((upstream, tls)))
}

fn canary_certificate() -> Value {
    let mut certificate = certificate(&["a:*"]);
    certificate["signature"] = format!("signature-{CANARY}").into();
    certificate["seed"] = format!("seed-{CANARY}-{}", "s".repeat(44 - 12)).into();
    certificate
}

/// Accepted and rejected requests to every endpoint, and malformed requests.
fn every_request() -> Vec<Vec<u8>> {
    let token = format!("put-token-{CANARY}");
    let certificate = canary_certificate();
    let credentials = |certificate: Value| {
        let body = json!({ "clientId": "c", "accessToken": token, "certificate": certificate });
        request("PUT", "/credentials", body.to_string())
    };
    let put = |body: String| request("PUT", "/credentials", body);
    let put_head = "PUT /credentials HTTP/1.1\r\nHost: x\r\n";
    let mut all = vec![
        credentials(Value::Null),
        credentials(certificate.to_string().into()),
        // A certificate that is an object instead of a string, a truncated one, one of another version.
        credentials(certificate.clone()),
        credentials(certificate.to_string()[..100].into()),
        credentials(certificate.to_string().replace("\"version\":1", "\"version\":2").into()),
        put(json!({ "clientId": token, "accessToken": 1 }).to_string()),
        put(json!({ "clientId": "\"", "accessToken": token }).to_string()),
        put(json!({ "clientId": "c", "accessToken": [token] }).to_string()),
        put(json!({ "accessToken": token }).to_string()),
        put(format!("{{\"accessToken\":\"{token}\"")),
        put(format!("{token}\0")),
        put(format!("{token}{}", " ".repeat(1 << 20))),
        format!("{put_head}Transfer-Encoding: chunked\r\n\r\n5\r\n{token}").into(),
        format!("{put_head}Content-Length: x\r\n\r\n{token}").into(),
        format!("POST /credentials HTTP/1.1\r\nHost: x\r\nContent-Length: 16\r\n\r\n{token}")
            .into(),
        request("GET", "/credentials", ""),
        request("POST", "/bewit", "https://tc.example.com/x"),
        request("POST", "/bewit", "nonsense"),
        request("POST", "/bewit", format!("https://h/{}", "x".repeat(4000))),
        request("PUT", "/bewit", "x"),
        request("GET", "/nowhere", ""),
        request("GET", "/api/queue", ""),
        request("GET", "/h.example.invalid/x", ""),
        request("CONNECT", "h:443", ""),
        "GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n".into(),
        format!("{put_head}{token}\r\n\r\n").into(),
        format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "y".repeat(100_000)).into(),
    ];
    for method in ["GET", "PUT", "POST", "HEAD", "TRACE", "DELETE", "OPTIONS"] {
        all.push(request(method, "/api/queue/v1/x?y=z", ""));
        all.push(request(method, "/queue/v1/x", "body"));
    }
    all
}

/// Reads all responses on the connection, until the proxy closes it.
fn read_all(mut connection: Connection) -> Vec<u8> {
    // If the connection is still open, the proxy closes it after the response to this.
    let _ = connection.try_send("GET /nowhere HTTP/1.0\r\n\r\n");
    connection.read_to_end()
}
