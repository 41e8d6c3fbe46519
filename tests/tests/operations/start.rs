//! The command line, the start and the exit (docs/compatibility.md, S1 to S8).

use serde_json::{Value, json};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
use support::hawk::Claim;
use support::{
    ProcessOutput, Proxy, ProxyBuilder, Request, ScriptedResponse, Upstream, certificate, request,
};

#[test]
fn it_listens_on_ipv4_and_ipv6_by_default() {
    let upstream = Upstream::start([ScriptedResponse::ok("hello")]);
    let proxy = Proxy::in_front_of(upstream.root_url()).ip_address(None).start();
    let port = proxy.address().port();
    for address in [(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()] {
        let response = support::exchange(address, request("GET", "/api/queue/v1/ping", ""));
        assert_eq!(response.text(), "hello", "{address}");
    }
}

#[test]
fn help_shows_the_defaults() {
    for option in ["-h", "--help"] {
        let help = printed(&[option]);
        assert!(help.contains("-p, --port <port>") && help.contains("[default: 8080]"), "{help}");
        assert!(help.contains("[default: all, IPv4 and IPv6]"), "{help}");
    }
}

#[test]
fn options_and_scopes_interleave_as_with_docopt() {
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
fn versions_are_printed() {
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    assert_eq!(printed(&["--short-version"]), format!("{VERSION}\n"));
    let proxy = Proxy::sandbox().start();
    let response = proxy.get("/api/queue/v1/ping");
    assert_eq!(response.header("x-taskcluster-proxy-version"), Some(VERSION));
    let revision = match response.header("x-taskcluster-proxy-revision").unwrap() {
        "unknown" => String::new(),
        revision => format!(" (git revision {revision})"),
    };
    assert_eq!(printed(&["--version"]), format!("Taskcluster proxy {VERSION}{revision}\n"));
}

#[test]
fn credentials_come_from_the_environment_or_from_flags() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let (root_url, certificate) = (upstream.root_url(), certificate(&["a:b"]).to_string());
    let environment = Proxy::builder()
        .env("TASKCLUSTER_ROOT_URL", &root_url)
        .env("TASKCLUSTER_CLIENT_ID", "temp")
        .env("TASKCLUSTER_ACCESS_TOKEN", "secret");
    let flags = Proxy::builder()
        .args(["--root-url", &root_url, "--client-id", "temp"])
        .args(["--access-token", "secret"]);
    let both = Proxy::in_front_of("http://192.0.2.1")
        .env("TASKCLUSTER_CERTIFICATE", "nonsense")
        .args(["--root-url", &root_url, "--client-id", "temp", "--access-token", "secret"]);
    for builder in [
        environment.clone().env("TASKCLUSTER_CERTIFICATE", &certificate),
        environment.clone().env("TASKCLUSTER_CERITIFICATE", &certificate),
        environment.args(["--certificate", &certificate]),
        flags.args(["--certificate", &certificate]),
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
fn an_empty_certificate_and_an_empty_flag_are_none() {
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
fn a_certificate_may_expire_after_the_year_9999() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    for expiry in [253_402_300_800_000, u64::MAX] {
        let mut certificate = certificate(&[]);
        certificate["expiry"] = expiry.into();
        let proxy = Proxy::in_front_of(upstream.root_url())
            .env("TASKCLUSTER_CERTIFICATE", certificate.to_string())
            .start();
        assert_eq!(proxy.get("/api/queue/v1/ping").status(), 200);
        proxy.wait_for_log("until Fri, 31 Dec 9999 23:59:59 GMT");
    }
}

#[test]
fn missing_and_invalid_values_end_the_start() {
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

#[test]
fn a_port_in_use_ends_the_start() {
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let in_use = other.local_addr().unwrap();
    let builder = Proxy::in_front_of("http://127.0.0.1:1").args(["--ip-address", "127.0.0.1"]);
    assert_fails(
        builder.args(["-p", &in_use.port().to_string()]),
        &format!(
            "cannot listen on {in_use}: the port is in use by another program: choose another with \
             --port"
        ),
    );
}

#[test]
fn scopes_of_the_task_are_added_to_those_of_the_command_line() {
    let upstream = Upstream::start(queue(json!({ "scopes": ["task:*", "b:c"], "payload": {} })));
    let proxy = Proxy::in_front_of(upstream.root_url()).args(["-t", "-Task", "a:b"]).start();
    let response = proxy.get("/api/queue/v1/x");
    let scopes = json!(["a:b", "task:*", "b:c"]);
    let shown = response.header("x-taskcluster-authorized-scopes").unwrap();
    assert_eq!(serde_json::from_str::<Value>(shown).unwrap(), scopes);
    let [task, proxied] = upstream.requests().try_into().unwrap();
    assert_eq!((task.method(), task.target()), ("GET", "/api/queue/v1/task/-Task"));
    assert_eq!(task.header("authorization"), None);
    assert_eq!(
        Claim::of(&proxied).assert_signed_with("no-secret").ext(),
        json!({ "authorizedScopes": scopes })
    );
}

#[test]
fn a_task_without_scopes_has_none_at_all() {
    for task in [json!({ "scopes": [] }), json!({ "payload": {} })] {
        let upstream = Upstream::start(queue(task));
        let proxy = Proxy::in_front_of(upstream.root_url()).args(["--task-id", "t"]).start();
        let response = proxy.get("/api/queue/v1/x");
        assert_eq!(response.header("x-taskcluster-authorized-scopes"), Some("[]"));
        assert_eq!(Claim::of(&upstream.last_request()).ext(), json!({ "authorizedScopes": [] }));
    }
}

#[test]
fn without_scopes_and_task_there_is_no_restriction() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let response = Proxy::in_front_of(upstream.root_url()).start().get("/api/queue/v1/x");
    assert_eq!(response.header("x-taskcluster-authorized-scopes"), None);
    assert_eq!(Claim::of(&upstream.last_request()).ext(), Value::Null);
}

#[test]
fn a_failing_queue_is_retried() {
    let task = ScriptedResponse::ok(r#"{"scopes": ["a:b"]}"#);
    let upstream = Upstream::start([
        ScriptedResponse::status(503),
        ScriptedResponse::nothing().then_close(),
        task,
    ]);
    let proxy = Proxy::in_front_of(upstream.root_url()).args(["--task-id", "t"]).start();
    assert_eq!(upstream.requests().len(), 3);
    let shown = proxy
        .call("POST", "/bewit", "https://tc.example.com/x")
        .header("x-taskcluster-authorized-scopes")
        .map(str::to_owned);
    assert_eq!(shown.as_deref(), Some(r#"["a:b"]"#));
}

#[test]
fn a_task_that_cannot_be_fetched_ends_the_start() {
    let unknown = json!({ "code": "ResourceNotFound", "message": "no task t\nsecond line" });
    for (response, why) in [
        (
            ScriptedResponse::new(404, &[], unknown.to_string()),
            "the queue responded with 404 Not Found: no task t second line",
        ),
        (ScriptedResponse::new(400, &[], "<html>"), "the queue responded with 400 Bad Request"),
        (
            ScriptedResponse::ok("[]"),
            "the queue's response is not a task definition with an array of scopes",
        ),
        (
            ScriptedResponse::ok(r#"{"scopes": "a:b"}"#),
            "the queue's response is not a task definition with an array of scopes",
        ),
    ] {
        let upstream = Upstream::start([response]);
        let builder = Proxy::in_front_of(upstream.root_url()).args(["-p0", "--task-id", "t/ü"]);
        assert_fails(builder, &format!("could not fetch taskcluster task 't/ü' : {why}"));
        let requests = upstream.requests();
        assert_eq!((requests.len(), requests[0].target()), (1, "/api/queue/v1/task/t%2F%C3%BC"));
    }
}

/// As any fresh deployment: the anonymous role has no scopes.
#[test]
fn a_queue_that_requires_credentials_is_asked_once_more_signed() {
    for status in [401, 403] {
        let upstream = Upstream::start(move |request: &Request| {
            match (request.header("authorization"), request.target()) {
                (None, _) => ScriptedResponse::new(status, &[], "refused"),
                (Some(_), "/api/queue/v1/task/t") => ScriptedResponse::ok(r#"{"scopes": ["a:b"]}"#),
                _ => ScriptedResponse::status(200),
            }
        });
        let proxy = Proxy::in_front_of(upstream.root_url()).args(["--task-id", "t", "c"]).start();
        let response = proxy.get("/api/queue/v1/x");
        assert_eq!(response.header("x-taskcluster-authorized-scopes"), Some(r#"["c","a:b"]"#));
        let [_, signed, _] = &upstream.requests()[..] else { panic!("{:?}", upstream.requests()) };
        // With all that the credentials may do.
        assert_eq!(Claim::of(signed).assert_signed_with("no-secret").ext(), Value::Null);
    }
}

#[test]
fn a_task_that_nobody_shows_ends_it_with_two_ways_out() {
    let refusal = |code: &str, message: &str| {
        let message = format!("{message}\n\n---\n\n* method:     task");
        json!({ "code": code, "message": message }).to_string()
    };
    let missing = "scopes:\n\n```\nqueue:get-task:t\n```";
    for (status, body, why) in [
        (
            403,
            refusal("InsufficientScopes", missing),
            "with 403 Forbidden to the proxy's credentials: scopes: `queue:get-task:t`",
        ),
        (
            401,
            refusal("AuthenticationFailed", "Unauthorized: Bad mac"),
            "with 401 Unauthorized to the proxy's credentials: Unauthorized: Bad mac",
        ),
    ] {
        let upstream = Upstream::start([ScriptedResponse::new(status, &[], body)]);
        let finished =
            Proxy::in_front_of(upstream.root_url()).args(["-p0", "--task-id", "t"]).run();
        let line = one_line(&finished);
        assert!(line.contains(why), "{line}");
        let ways = "; grant the scope \"queue:get-task:t\" either to the role \"anonymous\" or to the \
                    client of these credentials, or leave out --task-id and name the scopes on the \
                    command line";
        assert!(line.ends_with(ways), "{line}");
        assert_eq!(upstream.requests().len(), 2);
    }
}

#[test]
fn a_queue_that_cannot_be_reached_ends_the_start() {
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let finished = Proxy::in_front_of(format!("http://{closed}")).args(["-p0", "-tT"]).run();
    let line = one_line(&finished);
    let expected = "taskcluster-proxy: could not fetch taskcluster task 'T' : cannot connect: ";
    assert!(line.starts_with(expected) && line.contains("refused"), "{line}");
}

#[test]
fn probes_of_the_port_leave_no_trace() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let proxy = Proxy::in_front_of(upstream.root_url()).args(["--log-level", "trace"]).start();
    let before = proxy.whole_log();
    for _ in 0..20 {
        drop(TcpStream::connect(proxy.address()).unwrap());
    }
    proxy.get("/api/queue/v1/x");
    proxy.wait_for_log("/api/queue/v1/x");
    let after = proxy.log();
    let new: Vec<&str> = after.strip_prefix(&before).unwrap().lines().collect();
    assert_eq!(new.len(), 1, "{new:#?}");
}

#[test]
fn the_port_of_a_killed_proxy_is_free_at_once() {
    let upstream = Upstream::start([ScriptedResponse::ok("one"), ScriptedResponse::ok("two")]);
    let builder = Proxy::in_front_of(upstream.root_url());
    let first = builder.clone().start();
    let address = first.address();
    let mut kept_alive = first.connect();
    kept_alive.send(request("GET", "/api/queue/v1/x", ""));
    assert_eq!(kept_alive.response().text(), "one");
    first.kill();
    let second = builder.port(address.port()).start();
    assert_eq!((second.address(), second.get("/api/queue/v1/x").text()), (address, "two"));
    assert_eq!(kept_alive.read_to_end(), b"");
}

#[test]
#[cfg(unix)]
fn it_stops_on_a_signal() {
    for signal in ["TERM", "INT"] {
        let proxy = Proxy::in_front_of("http://127.0.0.1:9").start();
        proxy.signal(signal);
        let finished = proxy.wait();
        assert!(finished.status.success(), "{:?}", finished.status);
        assert!(
            finished.stderr.contains(&format!("stopped by SIG{signal}")),
            "{}",
            finished.stderr
        );
    }
}

#[test]
fn no_secret_is_logged() {
    let upstream = Upstream::start(|request: &Request| match request.target() {
        "/api/queue/v1/broken" => ScriptedResponse::nothing().then_reset(),
        "/api/queue/v1/failing" => ScriptedResponse::new(500, &[("X-Secret", "canary")], "canary"),
        _ => ScriptedResponse::new(200, &[("Set-Cookie", "canary")], "canary"),
    });
    let proxy = Proxy::in_front_of(upstream.root_url())
        .env("TASKCLUSTER_ACCESS_TOKEN", "canary-token")
        .env("TASKCLUSTER_CERTIFICATE", certificate(&["a:b"]).to_string())
        .args(["--log-level", "trace", "a:b"])
        .start();
    for (method, target, body) in [
        ("PUT", "/api/queue/v1/x", "canary"),
        ("POST", "/api/queue/v1/failing", "canary"),
        ("PUT", "/api/queue/v1/broken", "canary"),
        ("GET", "/api/queue/v1/x?bewit=canary", ""),
        ("GET", "/queue?bewit=canary", ""),
        ("GET", "/127.0.0.1/x?bewit=canary", ""),
        ("GET", "http://x/api/queue/v1/x?bewit=canary", ""),
        ("POST", "/bewit?canary", "https://tc.example.com/x?canary"),
        ("POST", "/bewit", "canary"),
        ("POST", "/bewit", "ftp://canary@tc.example.com/"),
        ("POST", "/bewit", "https://user:canary@tc.example.com/"),
        ("POST", "/credentials", "canary"),
        ("PUT", "/credentials", "canary"),
        ("PUT", "/credentials", r#"{"clientId": ["canary"]}"#),
        ("PUT", "/credentials", r#"{"clientId": "c", "accessToken": {"canary": 1}}"#),
        (
            "PUT",
            "/credentials",
            r#"{"clientId": "c", "accessToken": "canary", "certificate": "canary"}"#,
        ),
        ("PUT", "/credentials", r#"{"clientId": "c", "accessToken": "canary-new"}"#),
        ("GET", "/api/queue/v1/x", ""),
    ] {
        proxy.call(method, target, body);
    }
    let head = "GET /api/queue/v1/x HTTP/1.1\r\nHost: x\r\nCookie: canary\r\n\
                Authorization: Bearer canary\r\n";
    proxy.exchange(format!("{head}\r\n"));
    proxy.exchange(format!("{head}canary\r\n\r\n"));
    let mut cut = proxy.connect();
    cut.send("PUT /api/queue/v1/cut HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\ncanary");
    upstream.wait_for("the cut request", |requests| {
        requests.iter().any(|request| request.header("content-length") == Some("100")).then_some(())
    });
    cut.reset();
    proxy.wait_for_log("method=PUT path=/api/queue/v1/cut");
    let log = proxy.whole_log();
    assert!(log.contains("method=PUT path=/credentials status=200"), "{log}");
    let ProcessOutput { stdout, stderr, .. } = proxy.kill();
    assert!(!format!("{stdout}{stderr}").contains("canary"), "{stdout}{stderr}");
}

#[test]
fn no_secret_is_logged_by_a_failed_start() {
    for args in [
        &["--certificate", "canary", "--port", "x"][..],
        &["--certificate", r#"{"version": "canary"}"#, "--port", "x"],
        &["--access-tokencanary"],
        &["--access-token", "canary", "--access-token", "canary"],
        &["--access-token=canary", "--port", "x"],
        &["--root-url", "http://canary@tc.example.com"],
    ] {
        let finished = Proxy::in_front_of("http://127.0.0.1:1").args(args).run();
        let line = one_line(&finished);
        assert!(!line.contains("canary"), "{line}");
    }
}

/// A queue that has every task.
fn queue(task: Value) -> impl FnMut(&Request) -> ScriptedResponse {
    move |request| match request.target().starts_with("/api/queue/v1/task/") {
        true => ScriptedResponse::ok(task.to_string()),
        false => ScriptedResponse::status(200),
    }
}

fn printed(args: &[&str]) -> String {
    let ProcessOutput { status, stdout, stderr } = Proxy::builder().args(args).run();
    assert!(status.success() && stderr.is_empty(), "{status} {stderr}");
    stdout
}

fn assert_fails(builder: ProxyBuilder, expected: &str) {
    assert_eq!(one_line(&builder.run()), format!("taskcluster-proxy: {expected}"));
}

/// The only line that a failed start prints.
fn one_line(finished: &ProcessOutput) -> &str {
    let ProcessOutput { status, stdout, stderr } = finished;
    assert!(!status.success() && stdout.is_empty(), "{status} {stdout}");
    let line = stderr.strip_suffix('\n').expect("there is a line on stderr");
    assert!(!line.contains('\n'), "{stderr}");
    line
}
