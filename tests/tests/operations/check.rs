//! `--check`: the checks of a start, one line each.

use serde_json::json;
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use support::{
    ClosedPort, ProcessOutput, Proxy, ProxyBuilder, ScriptedResponse, Tls, Upstream, certificate,
};

#[test]
fn everything_passes_with_the_sandbox() {
    let report = Report::of(Proxy::sandbox().args(["--port", "0", "a:b"]), 0);
    report.says("ok", "port", "free: [::]:");
    report.says("ok", "root url", "/api/auth/v1/ping responded with 200 OK in ");
    report.says("ok", "tls", "not used: the root URL is http");
    report.says("ok", "clock", "the deployment");
    report.says("ok", "scopes", "restricted to [\"a:b\"]");
    report.says("ok", "credentials", "client tester, permanent: there is no certificate");
    report.says("ok", "signature", "characters");
    report.says("ok", "accepted", "they may do: \"a:b\"");
    assert_eq!(report.lines.len(), 8, "{report:?}");
    // The columns are aligned.
    let texts = report.lines.iter().map(|line| line.rfind("  ").unwrap());
    assert!(texts.clone().min() == texts.max(), "{report:?}");
}

#[test]
fn it_does_not_listen() {
    let port = ClosedPort::take().root_url().rsplit_once(':').unwrap().1.to_owned();
    let report = Report::of(Proxy::sandbox().args(["--port", &port]), 0);
    report.says("ok", "port", &format!("free: [::]:{port}"));
    TcpListener::bind(format!("127.0.0.1:{port}")).expect("the port is free again");
}

#[test]
fn a_port_in_use() {
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = other.local_addr().unwrap().port().to_string();
    let builder = Proxy::sandbox().args(["--ip-address", "127.0.0.1", "--port", &port]);
    let report = Report::of(builder, 1);
    report.says("fail", "port", "in use by another program: choose another with --port");
    report.says("ok", "accepted", "they may do: \"*\"");
}

#[test]
fn an_admin_address_in_use() {
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = other.local_addr().unwrap().to_string();
    let with = |admin: &str| Proxy::sandbox().args(["--port", "0", "--admin", admin]);
    let report = Report::of(with(&address), 1);
    report.says("fail", "admin", &format!("--admin: cannot listen on {address}: "));
    drop(other);
    Report::of(with(&address), 0).says("ok", "admin", &format!("free: http://{address}"));
}

/// Each request has 10 s, and earlier results are printed before.
#[test]
fn an_upstream_that_accepts_and_never_responds() {
    let upstream = Upstream::start([ScriptedResponse::nothing().then_stall()]);
    let report = checked(&upstream.root_url(), |it| it.args(["--connect-timeout", "1"]), 1);
    report.says("ok", "port", "free");
    report.says("fail", "root url", "no response to GET /api/auth/v1/ping within 10 seconds");
    report.says("?", "accepted", "not known");
}

/// The request without a response is the one that is named.
#[test]
fn an_auth_service_that_does_not_return_the_scopes() {
    let upstream = Upstream::start(|request: &support::Request| match request.target() {
        "/api/auth/v1/ping" => auth(request, 0),
        _ => ScriptedResponse::nothing().then_stall(),
    });
    let report = checked(&upstream.root_url(), |it| it, 1);
    report.says("ok", "root url", "responded with 200");
    let expected = "no response to GET /api/auth/v1/scopes/current within 10 seconds";
    report.says("fail", "accepted", expected);
}

#[test]
fn a_root_url_where_nothing_listens() {
    let port = ClosedPort::take();
    let report = checked(&port.root_url(), |builder| builder, 1);
    report.says("fail", "root url", &format!("{}: cannot connect: ", port.root_url()));
    for what in ["tls", "clock", "accepted"] {
        report.says("?", what, "not known: there is no response from the root URL");
    }
    report.says("ok", "credentials", "client tester");
}

#[test]
fn a_root_url_of_something_else() {
    let upstream = Upstream::start([ScriptedResponse::new(404, &[("Date", &date(0))], "canary")]);
    let report = checked(&upstream.root_url(), |builder| builder, 0);
    report.says("warn", "root url", "responded with 404 Not Found in ");
    report.says(
        "warn",
        "accepted",
        "/api/auth/v1/scopes/current responded with 404 Not Found, expected",
    );
}

#[test]
fn a_certificate_by_an_unknown_issuer_and_a_known_one() {
    let upstream = Upstream::start(|request: &support::Request| auth(request, 0));
    let tls = Tls::for_host("127.0.0.1").start(&upstream);
    let root_url = format!("https://{}", tls.address());
    let report = checked(&root_url, |builder| builder, 1);
    report.says("fail", "root url", "shows a certificate that does not hold");
    report.says("fail", "tls", "its certificate was not issued by a certificate that is trusted");
    report.says("fail", "tls", "SSL_CERT_FILE");
    let known = |builder: ProxyBuilder| builder.env("SSL_CERT_FILE", tls.authority());
    checked(&root_url, known, 0).says("ok", "tls", "the certificate is valid");
}

#[test]
fn clock_skew() {
    for (offset, finding, expected) in [
        (300, "fail", "behind the deployment's: set it"),
        (-300, "fail", "ahead of the deployment's: set it"),
        (45, "warn", "behind the deployment's: set it"),
        (0, "ok", "that of the deployment"),
    ] {
        let upstream = Upstream::start(move |request: &support::Request| auth(request, offset));
        let status = i32::from(finding == "fail");
        let report = checked(&upstream.root_url(), |builder| builder, status);
        report.says(finding, "clock", expected);
    }
}

#[test]
fn valid_future_and_expired_credentials() {
    let upstream = Upstream::start(|request: &support::Request| auth(request, 0));
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
        let report = checked(&upstream.root_url(), temporary, i32::from(finding == "fail"));
        report.says(finding, "credentials", expected);
        assert!(!format!("{report:?}").contains("canary"), "{report:?}");
    }
}

/// A start accepts them; whether the services do is another line.
#[test]
fn credentials_that_look_wrong() {
    let upstream = Upstream::start(|request: &support::Request| auth(request, 0));
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
        let report = checked(&upstream.root_url(), given, status);
        report.says(finding, "credentials", "client \"tester\": ");
        report.says(finding, "credentials", expected);
        match status {
            0 => report.says("ok", "accepted", "they may do: \"a:b\""),
            _ => report.says("?", "accepted", "not known: nothing can be signed"),
        }
        assert!(!format!("{report:?}").contains("canary"), "{report:?}");
    }
}

/// The clock of the deployment decides when certificates expire.
#[test]
fn the_deployments_clock_counts() {
    let upstream = Upstream::start(|request: &support::Request| auth(request, 2 * 60 * 60));
    let certificate = certificate(&["a:b"]).to_string();
    let temporary = |builder: ProxyBuilder| builder.env("TASKCLUSTER_CERTIFICATE", certificate);
    let report = checked(&upstream.root_url(), temporary, 1);
    report.says("fail", "credentials", "the certificate expired ");
}

#[test]
fn more_scopes_than_fit() {
    let upstream = Upstream::start(|request: &support::Request| auth(request, 0));
    let scopes: Vec<_> = (0..500).map(|number| format!("some:scope:{number}")).collect();
    let report = checked(&upstream.root_url(), |builder| builder.args(scopes), 1);
    report.says("fail", "signature", "read at most 4096");
    report.says("fail", "signature", "use fewer scopes");
    report.says("?", "accepted", "not known: nothing can be signed");
}

#[test]
fn rejected_credentials() {
    let wrong = |builder: ProxyBuilder| builder.env("TASKCLUSTER_ACCESS_TOKEN", "canary");
    let sandbox = Proxy::sandbox().start();
    let report = checked(sandbox.sandbox_root_url(), wrong, 1);
    report.says(
        "fail",
        "accepted",
        "refused with 401 Unauthorized: Unauthorized: Bad mac: the signature does not match (Bad mac): \
         the accessToken is not that of client \"tester\"",
    );
    assert!(!format!("{report:?}").contains("canary"), "{report:?}");
}

/// The auth service accepts the signature and does not show the scopes.
#[test]
fn credentials_that_may_not_list_their_scopes() {
    let missing = "```\nauth:current-scopes\n```";
    let message = format!(
        "Client ID tester does not have sufficient scopes and is missing the following scopes:\n\n\
         {missing}\n\nThis request requires the client to satisfy the following scope expression:\n\n\
         {missing}\n\n---\n\n* method:     currentScopes"
    );
    for (code, finding, expected, status) in [
        (
            "InsufficientScopes",
            "ok",
            "the signature was accepted; with the scope \"auth:current-scopes\" this line would list",
            0,
        ),
        ("Forbidden", "fail", "`auth:current-scopes`: get new credentials", 1),
    ] {
        let body = json!({ "code": code, "message": message }).to_string();
        let upstream = Upstream::start(move |request: &support::Request| {
            match request.target().ends_with("/scopes/current") {
                true => ScriptedResponse::new(403, &[("Date", &date(0))], &body),
                false => auth(request, 0),
            }
        });
        let report = checked(&upstream.root_url(), |builder| builder, status);
        report.says(finding, "accepted", expected);
    }
}

#[test]
fn a_restriction_beyond_the_credentials() {
    let sandbox = Proxy::sandbox().start();
    let claims = claimed_credentials(&sandbox);
    let with = |builder: ProxyBuilder| {
        builder
            .env("TASKCLUSTER_CLIENT_ID", claims["clientId"].as_str().unwrap())
            .env("TASKCLUSTER_ACCESS_TOKEN", claims["accessToken"].as_str().unwrap())
            .env("TASKCLUSTER_CERTIFICATE", claims["certificate"].as_str().unwrap())
            .args(["secrets:get:a/b", "queue:create-task:*"])
    };
    let report = checked(sandbox.sandbox_root_url(), with, 1);
    report.says(
        "fail",
        "accepted",
        "requests are restricted to scopes (those of the command line) that the credentials do not \
         have: \"queue:create-task:*\"; every request is refused until the restriction leaves them out",
    );
    assert!(!format!("{report:?}").contains("lines above"), "{report:?}");
}

/// Those that a worker gets with a task that may `secrets:get:a/*`.
fn claimed_credentials(sandbox: &Proxy) -> serde_json::Value {
    let moment = |seconds: i64| {
        let moment = taskcluster_proxy_core::Timestamp::from_secs((now() + seconds) as u64);
        moment.to_rfc3339()
    };
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
    let claims = post("POST", "/api/queue/v1/claim-work/proj/ci", worker);
    claims["tasks"][0]["credentials"].clone()
}

#[test]
fn a_task_that_does_not_exist() {
    let report = Report::of(Proxy::sandbox().args(["--port", "0", "--task-id", "none"]), 1);
    report.says("fail", "scopes", "could not fetch taskcluster task 'none'");
}

#[test]
fn a_file_without_credentials() {
    let folder = support::Folder::new();
    let file = folder.put("c.json", "canary");
    let upstream = Upstream::start(|request: &support::Request| auth(request, 0));
    let builder = Proxy::builder().env("TASKCLUSTER_ROOT_URL", upstream.root_url()).args([
        "--check",
        "--port",
        "0",
        "--credentials-file",
        file.to_str().unwrap(),
    ]);
    let report = Report::of_run(builder.run(), 1);
    report.says("fail", "credentials", "expected JSON, found a syntax error");
    report.says("ok", "root url", "responded with 200 OK");
    assert!(!format!("{report:?}").contains("canary"), "{report:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn peers() {
    let sandbox = || Proxy::sandbox().args(["--port", "0"]);
    for option in [["--allowed-user", "root"], ["--credentials-from", "root"]] {
        Report::of(sandbox().args(option), 0).says("ok", "peers", "can be looked up");
    }
    let report = Report::of(sandbox().args(["--allowed-user", "no-such-user"]), 1);
    report.says("fail", "peers", "found none named \"no-such-user\"");
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

    /// Fails unless there is one line about `what`, with this result and this text.
    #[track_caller]
    fn says(&self, finding: &str, what: &str, text: &str) {
        let start = format!("{finding:<4}  {what} ");
        let found: Vec<_> = self.lines.iter().filter(|line| line.starts_with(&start)).collect();
        assert!(found.len() == 1 && found[0].contains(text), "{start}{text}: {:#?}", self.lines);
    }
}

fn checked(root_url: &str, with: impl FnOnce(ProxyBuilder) -> ProxyBuilder, status: i32) -> Report {
    Report::of(with(Proxy::in_front_of(root_url).args(["--port", "0"])), status)
}

/// The auth service, with a clock that is ahead by so many seconds.
fn auth(request: &support::Request, ahead: i64) -> ScriptedResponse {
    let body = match request.target() {
        "/api/auth/v1/ping" => "{\"alive\":true}",
        "/api/auth/v1/scopes/current" => "{\"scopes\":[\"a:b\"]}",
        other => panic!("{other}"),
    };
    ScriptedResponse::new(200, &[("Date", &date(ahead))], body)
}

/// The time, so many seconds ahead, in the format of HTTP.
fn date(ahead: i64) -> String {
    let moment = UNIX_EPOCH + Duration::from_secs((now() + ahead) as u64);
    httpdate::fmt_http_date(moment)
}

/// Seconds since 1970.
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}
