//! `--check`: reports what a start would find, one line for each check.

mod unreachable;

use serde_json::json;
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use support::{
    ClosedPort, ProcessOutput, Proxy, ProxyBuilder, Request, ScriptedResponse, Tls, Upstream,
    certificate,
};
use taskcluster_proxy_core::Timestamp;

#[test]
fn all_checks_pass_with_the_sandbox() {
    let report = Report::of(Proxy::sandbox().args(["--port", "0", "a:b"]), 0);
    report.assert_line("ok", "port", "free: [::]:");
    report.assert_line("ok", "root url", "/api/auth/v1/ping responded with 200 OK in ");
    report.assert_line("ok", "tls", "not used: the root URL is http");
    report.assert_line("ok", "clock", "the deployment");
    report.assert_line("ok", "scopes", "restricted to [\"a:b\"]");
    report.assert_line("ok", "credentials", "client tester, permanent: there is no certificate");
    report.assert_line("ok", "signature", "characters");
    report.assert_line("ok", "accepted", "with the scopes \"a:b\"");
    assert_eq!(report.lines.len(), 8, "{report:?}");
    // The columns are aligned.
    let texts = report.lines.iter().map(|line| line.rfind("  ").unwrap());
    assert!(texts.clone().min() == texts.max(), "{report:?}");
}

#[test]
fn the_port_is_free_after_the_check() {
    let port = ClosedPort::take().root_url().rsplit_once(':').unwrap().1.to_owned();
    let report = Report::of(Proxy::sandbox().args(["--port", &port]), 0);
    report.assert_line("ok", "port", &format!("free: [::]:{port}"));
    TcpListener::bind(format!("127.0.0.1:{port}")).expect("the port is free again");
}

#[test]
fn a_port_in_use_is_reported() {
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = other.local_addr().unwrap().port().to_string();
    let builder = Proxy::sandbox().args(["--ip-address", "127.0.0.1", "--port", &port]);
    let report = Report::of(builder, 1);
    report.assert_line("fail", "port", "in use by another program: choose another with --port");
    report.assert_line("ok", "accepted", "with the scopes \"*\"");
}

#[test]
fn an_admin_address_in_use_is_reported() {
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = other.local_addr().unwrap().to_string();
    let with = |admin: &str| Proxy::sandbox().args(["--port", "0", "--admin", admin]);
    let report = Report::of(with(&address), 1);
    report.assert_line("fail", "admin", &format!("--admin: cannot listen on {address}: "));
    drop(other);
    Report::of(with(&address), 0).assert_line("ok", "admin", &format!("free: http://{address}"));
}

#[test]
fn a_root_url_of_another_server_is_reported() {
    let upstream = Upstream::start([ScriptedResponse::new(404, &[("Date", &date(0))], "canary")]);
    let report = check_with(&upstream.root_url(), |builder| builder, 0);
    report.assert_line("warn", "root url", "responded with 404 Not Found in ");
    report.assert_line(
        "warn",
        "accepted",
        "/api/auth/v1/scopes/current responded with 404 Not Found, expected",
    );
}

#[test]
fn certificates_of_unknown_and_known_issuers_are_reported() {
    let upstream = Upstream::start(|request: &Request| auth(request, 0));
    let server = Tls::for_host("127.0.0.1").start(&upstream);
    let root_url = format!("https://{}", server.address());
    let report = check_with(&root_url, |builder| builder, 1);
    report.assert_line("fail", "root url", "presents a certificate that is not accepted");
    report.assert_line(
        "fail",
        "tls",
        "its certificate was not issued by a certificate that is trusted",
    );
    report.assert_line("fail", "tls", "SSL_CERT_FILE");
    let empty = |it: ProxyBuilder| it.env("SSL_CERT_FILE", "").env("SSL_CERT_DIR", "");
    let same = check_with(&root_url, empty, 1);
    let tls = |report: &Report| report.lines.iter().find(|line| line.contains("  tls ")).cloned();
    assert!(tls(&same).is_some() && tls(&same) == tls(&report), "{same:?}");
    let known = |builder: ProxyBuilder| builder.env("SSL_CERT_FILE", server.authority());
    check_with(&root_url, known, 0).assert_line("ok", "tls", "the certificate is valid");
}

#[test]
fn clock_skew_is_reported() {
    for (offset, finding, expected) in [
        (300, "fail", "behind the deployment's: set it"),
        (-300, "fail", "ahead of the deployment's: set it"),
        (45, "warn", "behind the deployment's: set it"),
        (0, "ok", "the same as the deployment"),
    ] {
        let upstream = Upstream::start(move |request: &Request| auth(request, offset));
        let report = check_with(&upstream.root_url(), |it| it, i32::from(finding == "fail"));
        report.assert_line(finding, "clock", expected);
    }
}

#[test]
fn the_validity_of_credentials_is_reported() {
    let upstream = Upstream::start(|request: &Request| auth(request, 0));
    const HOUR: i64 = 60 * 60;
    for (start, expiry, finding, expected) in [
        (-HOUR, 5 * HOUR + 60, "ok", "client tester, temporary, until "),
        (-HOUR, 5 * HOUR + 60, "ok", "GMT, 5 h from now"),
        (-HOUR, 200, "warn", "have new ones issued"),
        (
            -HOUR,
            -100,
            "warn",
            " s ago; services accept them for 5 minutes after that: have new ones issued",
        ),
        (-5 * HOUR, -3 * HOUR - 90, "fail", "the certificate expired 3h 1min ago, at "),
        (
            3 * HOUR + 90,
            5 * HOUR,
            "fail",
            ", in 3h 1min: requests are signed with it, and the services refuse them until then",
        ),
    ] {
        let mut certificate = certificate(&["a:b"]);
        certificate["start"] = json!((now() + start) * 1000);
        certificate["expiry"] = json!((now() + expiry) * 1000);
        let temporary = |b: ProxyBuilder| b.env("TASKCLUSTER_CERTIFICATE", certificate.to_string());
        let report = check_with(&upstream.root_url(), temporary, i32::from(finding == "fail"));
        report.assert_line(finding, "credentials", expected);
        assert!(!format!("{report:?}").contains("canary"), "{report:?}");
    }
}

/// A start accepts such credentials; whether the services do is reported in another line.
#[test]
fn credentials_that_look_wrong_are_reported() {
    let upstream = Upstream::start(|request: &Request| auth(request, 0));
    for (certificate, finding, expected, status) in [
        (
            r#"{"version":1,"scopes":["scope1"]}"#,
            "warn",
            "the certificate is not as the services expect it (`start`: expected a number of \
             milliseconds since 1970, found nothing; `expiry`: ",
            0,
        ),
        (r#"{"scopes":null,"seed":"canary"}"#, "warn", "`scopes`: expected an array of scopes", 0),
        (r#"{"scopes":null,"seed":"canary"}"#, "warn", "`seed`: expected a string of 44", 0),
        (
            "canary",
            "fail",
            "the certificate is not a JSON object (expected JSON, found a syntax",
            1,
        ),
    ] {
        let given = |builder: ProxyBuilder| builder.args(["--certificate", certificate]);
        let report = check_with(&upstream.root_url(), given, status);
        report.assert_line(finding, "credentials", "client \"tester\": ");
        report.assert_line(finding, "credentials", expected);
        match status {
            0 => report.assert_line("ok", "accepted", "with the scopes \"a:b\""),
            _ => report.assert_line("?", "accepted", "not known: nothing can be signed"),
        }
        assert!(!format!("{report:?}").contains("canary"), "{report:?}");
    }
}

#[test]
fn expiry_depends_on_the_deployments_clock() {
    let upstream = Upstream::start(|request: &Request| auth(request, 2 * 60 * 60));
    let certificate = certificate(&["a:b"]).to_string();
    let temporary = |b: ProxyBuilder| b.env("TASKCLUSTER_CERTIFICATE", certificate);
    let report = check_with(&upstream.root_url(), temporary, 1);
    report.assert_line("fail", "credentials", "the certificate expired ");
}

#[test]
fn too_many_scopes_are_reported() {
    let upstream = Upstream::start(|request: &Request| auth(request, 0));
    let scopes: Vec<_> = (0..500).map(|number| format!("some:scope:{number}")).collect();
    let report = check_with(&upstream.root_url(), |builder| builder.args(scopes), 1);
    report.assert_line("fail", "signature", "read at most 4096");
    report.assert_line("fail", "signature", "use fewer scopes");
    report.assert_line("?", "accepted", "not known: nothing can be signed");
}

#[test]
fn rejected_credentials_are_reported() {
    let wrong = |builder: ProxyBuilder| builder.env("TASKCLUSTER_ACCESS_TOKEN", "canary");
    let sandbox = Proxy::sandbox().start();
    let report = check_with(sandbox.sandbox_root_url(), wrong, 1);
    report.assert_line(
        "fail",
        "accepted",
        "refused with 401 Unauthorized: Unauthorized: Bad mac: the signature does not match (Bad mac): \
         the accessToken is not that of client \"tester\"",
    );
    assert!(!format!("{report:?}").contains("canary"), "{report:?}");
}

/// The auth service does not return the scopes: it has accepted the signature, or received none.
#[test]
fn a_403_for_the_scopes_shows_whether_the_signature_was_accepted() {
    let missing = "```\nauth:current-scopes\n```";
    let message = |client_id: &str| {
        format!(
            "Client ID {client_id} does not have sufficient scopes and is missing the following scopes:\n\n\
             {missing}\n\nThis request requires the client to satisfy the following scope expression:\n\n\
             {missing}\n\n---\n\n* method:     currentScopes"
        )
    };
    for (code, client_id, finding, expected, status) in [
        (
            "InsufficientScopes",
            "tester",
            "ok",
            "the signature was accepted; with the scope \"auth:current-scopes\" this line would list",
            0,
        ),
        (
            "InsufficientScopes",
            "auth-failed:no-auth",
            "fail",
            "the service received no signature",
            1,
        ),
        ("Forbidden", "tester", "fail", "`auth:current-scopes`: get new credentials", 1),
    ] {
        let body = json!({ "code": code, "message": message(client_id) }).to_string();
        let upstream = Upstream::start(move |request: &Request| {
            match request.target().ends_with("/scopes/current") {
                true => ScriptedResponse::new(403, &[("Date", &date(0))], &body),
                false => auth(request, 0),
            }
        });
        let report = check_with(&upstream.root_url(), |builder| builder, status);
        report.assert_line(finding, "accepted", expected);
    }
}

#[test]
fn scopes_that_the_credentials_do_not_have_are_reported() {
    let sandbox = Proxy::sandbox().start();
    let credentials = claimed_credentials(&sandbox);
    let with = |builder: ProxyBuilder| {
        builder
            .env("TASKCLUSTER_CLIENT_ID", credentials["clientId"].as_str().unwrap())
            .env("TASKCLUSTER_ACCESS_TOKEN", credentials["accessToken"].as_str().unwrap())
            .env("TASKCLUSTER_CERTIFICATE", credentials["certificate"].as_str().unwrap())
            .args(["secrets:get:a/b", "queue:create-task:*"])
    };
    let report = check_with(sandbox.sandbox_root_url(), with, 1);
    report.assert_line(
        "fail",
        "accepted",
        "requests are restricted to scopes (those of the command line) that the credentials do not \
         have: \"queue:create-task:*\"; services refuse every request that needs a scope until these are",
    );
    assert!(!format!("{report:?}").contains("lines above"), "{report:?}");
}

/// The credentials that a worker gets with a task that has the scope `secrets:get:a/*`.
fn claimed_credentials(sandbox: &Proxy) -> serde_json::Value {
    let moment = |seconds: i64| Timestamp::from_secs((now() + seconds) as u64).to_rfc3339();
    let task = json!({
        "taskQueueId": "proj/ci", "created": moment(0), "deadline": moment(3600),
        "scopes": ["secrets:get:a/*"], "payload": {},
        "metadata": {
            "name": "n", "description": "d", "owner": "o@example.com", "source": "https://example.com",
        },
    });
    let post = |method: &str, target: &str, body: String| {
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let response = sandbox.exchange(request);
        assert_eq!(response.status(), 200, "{response:?}");
        response.json()
    };
    post("PUT", "/api/queue/v1/task/fN1SbArXTPSVFNUvaOlinQ", task.to_string());
    let worker = json!({ "workerGroup": "g", "workerId": "w", "tasks": 1 }).to_string();
    let credentials = post("POST", "/api/queue/v1/claim-work/proj/ci", worker);
    credentials["tasks"][0]["credentials"].clone()
}

#[test]
fn a_task_that_does_not_exist_is_reported() {
    let report = Report::of(Proxy::sandbox().args(["--port", "0", "--task-id", "none"]), 1);
    report.assert_line("fail", "scopes", "could not fetch taskcluster task 'none'");
}

#[test]
fn a_file_without_credentials_is_reported() {
    let folder = support::Folder::new();
    let file = folder.put("c.json", "canary");
    let upstream = Upstream::start(|request: &Request| auth(request, 0));
    let builder = Proxy::builder().env("TASKCLUSTER_ROOT_URL", upstream.root_url()).args([
        "--check",
        "--port",
        "0",
        "--credentials-file",
        file.to_str().unwrap(),
    ]);
    let report = Report::of_run(builder.run(), 1);
    report.assert_line("fail", "credentials", "expected JSON, found a syntax error");
    report.assert_line("ok", "root url", "responded with 200 OK");
    assert!(!format!("{report:?}").contains("canary"), "{report:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn the_lookup_of_peers_is_reported() {
    let sandbox = || Proxy::sandbox().args(["--port", "0"]);
    for option in [["--allowed-user", "root"], ["--credentials-from", "root"]] {
        Report::of(sandbox().args(option), 0).assert_line("ok", "peers", "can be looked up");
    }
    let report = Report::of(sandbox().args(["--allowed-user", "no-such-user"]), 1);
    report.assert_line("fail", "peers", "found none named \"no-such-user\"");
}

/// The output of `--check`.
#[derive(Debug)]
struct Report {
    lines: Vec<String>,
}

impl Report {
    fn of(builder: ProxyBuilder, status: i32) -> Self {
        Self::of_run(builder.args(["--check"]).run(), status)
    }

    fn of_run(ended: ProcessOutput, status: i32) -> Self {
        assert_eq!(ended.status.code(), Some(status), "{ended:?}");
        Self { lines: ended.stdout.lines().map(str::to_owned).collect() }
    }

    /// Fails unless there is exactly one line about `what`, with this finding and this text.
    #[track_caller]
    fn assert_line(&self, finding: &str, what: &str, text: &str) {
        let start = format!("{finding:<4}  {what} ");
        let found: Vec<_> = self.lines.iter().filter(|line| line.starts_with(&start)).collect();
        assert!(found.len() == 1 && found[0].contains(text), "{start}{text}: {:#?}", self.lines);
    }
}

fn check_with(
    root_url: &str,
    with: impl FnOnce(ProxyBuilder) -> ProxyBuilder,
    status: i32,
) -> Report {
    Report::of(with(Proxy::in_front_of(root_url).args(["--port", "0"])), status)
}

/// The auth service, with a clock that is this many seconds ahead.
fn auth(request: &Request, ahead: i64) -> ScriptedResponse {
    let body = match request.target() {
        "/api/auth/v1/ping" => "{\"alive\":true}",
        "/api/auth/v1/scopes/current" => "{\"scopes\":[\"a:b\"]}",
        other => panic!("{other}"),
    };
    ScriptedResponse::new(200, &[("Date", &date(ahead))], body)
}

/// The time in this many seconds, in the format of a Date field.
fn date(ahead: i64) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs((now() + ahead) as u64))
}

/// Seconds since 1970.
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}
