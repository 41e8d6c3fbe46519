//! The command line and the environment (docs/compatibility.md, S1 to S7).

use serde_json::{Value, json};
use support::hawk::Claim;
use support::{ProcessOutput, Proxy, ProxyBuilder, ScriptedResponse, Upstream, certificate};

#[test]
fn help_shows_the_defaults() {
    for option in ["-h", "--help"] {
        let help = output_of(&[option]);
        assert!(help.contains("-p, --port <port>") && help.contains("[default: 8080]"), "{help}");
        assert!(help.contains("[default: all, IPv4 and IPv6]"), "{help}");
    }
}

#[test]
fn versions_are_printed() {
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    assert_eq!(output_of(&["--short-version"]), format!("{VERSION}\n"));
    let proxy = Proxy::sandbox().start();
    let response = proxy.get("/api/queue/v1/ping");
    assert_eq!(response.header("x-taskcluster-proxy-version"), Some(VERSION));
    let revision = match response.header("x-taskcluster-proxy-revision").unwrap() {
        "unknown" => String::new(),
        revision => format!(" (git revision {revision})"),
    };
    assert_eq!(output_of(&["--version"]), format!("Taskcluster proxy {VERSION}{revision}\n"));
}

#[test]
fn options_and_scopes_can_be_mixed() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let proxy = Proxy::builder()
        .args(["a:b", "--root", &upstream.root_url(), "--client-id=tester", "c:*"])
        .args(["--acc", "-no-secret", "d"])
        .start();
    proxy.get("/api/queue/v1/x");
    let claim = Claim::of(&upstream.last_request()).assert_signed_with("-no-secret");
    assert_eq!(claim.authorized_scopes(), json!(["a:b", "c:*", "d"]));
}

#[test]
fn credentials_are_given_by_variables_or_options() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let (root_url, certificate) = (upstream.root_url(), certificate(&["a:b"]).to_string());
    let environment = Proxy::builder()
        .env("TASKCLUSTER_ROOT_URL", &root_url)
        .env("TASKCLUSTER_CLIENT_ID", "temp")
        .env("TASKCLUSTER_ACCESS_TOKEN", "secret");
    let options = Proxy::builder()
        .args(["--root-url", &root_url, "--client-id", "temp"])
        .args(["--access-token", "secret"]);
    let both = Proxy::in_front_of("http://192.0.2.1")
        .env("TASKCLUSTER_CERTIFICATE", "nonsense")
        .args(["--root-url", &root_url, "--client-id", "temp", "--access-token", "secret"]);
    for builder in [
        environment.clone().env("TASKCLUSTER_CERTIFICATE", &certificate),
        environment.clone().env("TASKCLUSTER_CERITIFICATE", &certificate),
        environment.args(["--certificate", &certificate]),
        options.args(["--certificate", &certificate]),
        both.args(["--certificate", &certificate]),
    ] {
        let proxy = builder.start();
        let response = proxy.get("/api/queue/v1/x");
        assert_eq!(response.header("x-taskcluster-proxy-temp-clientid"), Some("temp"));
        let claim = Claim::of(&upstream.last_request()).assert_signed_with("secret");
        assert_eq!(claim.id, "temp");
        let signed: Value = serde_json::from_str(&certificate).unwrap();
        assert_eq!(claim.ext(), json!({ "certificate": signed }));
    }
}

#[test]
fn an_empty_certificate_and_an_empty_option_count_as_none() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let proxy = Proxy::in_front_of(upstream.root_url())
        .env("TASKCLUSTER_CERTIFICATE", "")
        .args(["--certificate", "", "--client-id="])
        .start();
    let response = proxy.get("/api/queue/v1/x");
    assert_eq!(response.header("x-taskcluster-proxy-perm-clientid"), Some("tester"));
    assert_eq!(
        Claim::of(&upstream.last_request()).assert_signed_with("no-secret").ext(),
        Value::Null
    );
}

#[test]
fn missing_and_invalid_values_are_reported_at_the_start() {
    let complete = Proxy::in_front_of("http://127.0.0.1:1");
    for (builder, expected) in [
        (
            Proxy::builder(),
            "no root URL: give --root-url, or set TASKCLUSTER_ROOT_URL in the environment (see \
             --help)",
        ),
        (
            complete.clone().env("TASKCLUSTER_CLIENT_ID", ""),
            "no clientId: give --client-id, or set TASKCLUSTER_CLIENT_ID in the environment (see \
             --help)",
        ),
        (
            complete.clone().env("TASKCLUSTER_ACCESS_TOKEN", ""),
            "no accessToken: give --access-token, or set TASKCLUSTER_ACCESS_TOKEN in the \
             environment (see --help)",
        ),
        (
            complete.clone().args(["--root-url", "tc.example.com"]),
            "--root-url (or TASKCLUSTER_ROOT_URL): expected an absolute URL that starts with \
             http:// or https://, found no scheme",
        ),
        (
            complete.clone().args(["-i", "localhost"]),
            "invalid IPv4/IPv6 address specified - cannot parse: localhost",
        ),
        (complete.clone().args(["--port", "-12345"]), "port -12345 is not in range [0,65535]"),
        (complete.clone().args(["-p65536"]), "port 65536 is not in range [0,65535]"),
        (complete.clone().args(["--nonsense"]), "unknown option --nonsense (see --help)"),
        (
            complete.clone().args(["--ip-address", "192.0.2.1", "-p0"]),
            "cannot listen on 192.0.2.1:0: this machine has no such address: choose one that it \
             has with --ip-address",
        ),
    ] {
        assert_fails(builder, expected);
    }
}

fn output_of(args: &[&str]) -> String {
    let ProcessOutput { status, stdout, stderr } = Proxy::builder().args(args).run();
    assert!(status.success() && stderr.is_empty(), "{status} {stderr}");
    stdout
}

fn assert_fails(builder: ProxyBuilder, expected: &str) {
    assert_eq!(builder.run().error_line(), format!("taskcluster-proxy: {expected}"));
}
