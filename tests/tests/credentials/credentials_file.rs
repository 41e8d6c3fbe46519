//! `--credentials-file` and `--credentials-fd`: credentials from a file or a pipe.

use serde_json::{Value, json};
use std::path::Path;
use support::admin::value;
use support::hawk::Claim;
use support::{Folder, Proxy, ProxyBuilder, ScriptedResponse, Upstream, certificate};

#[test]
fn a_file_and_its_replacement_are_used() {
    let (upstream, folder) = (Upstream::start([ScriptedResponse::status(200)]), Folder::new());
    let file = folder.put("c.json", credentials("first", "secret-1"));
    let proxy = with_file(&upstream, &file).args(["a:b"]).start();
    assert_signs(&proxy, &upstream, "first", "secret-1");
    assert!(!proxy.log().contains("can access it"), "{}", proxy.log());

    folder.put("c.json", credentials("second", "secret-2"));
    proxy.wait_for_log("client second");
    assert_signs(&proxy, &upstream, "second", "secret-2");

    let certificate = certificate(&["a:*"]);
    let temporary = json!({
        "clientId": "third", "accessToken": "secret-3", "certificate": certificate.to_string(),
    });
    // Overwrites the file in place, with longer content.
    std::fs::write(&file, temporary.to_string()).unwrap();
    proxy.wait_for_log("client third");
    let claim = assert_signs(&proxy, &upstream, "third", "secret-3");
    assert_eq!(claim.ext(), json!({ "certificate": certificate, "authorizedScopes": ["a:b"] }));
    assert!(!proxy.log().contains("secret-"), "{}", proxy.log());
}

#[test]
fn invalid_credentials_change_nothing_and_are_not_repeated() {
    let (upstream, folder) = (Upstream::start([ScriptedResponse::status(200)]), Folder::new());
    let file = folder.put("c.json", credentials("first", "secret-1"));
    let proxy = with_file(&upstream, &file).start();
    folder.put("c.json", r#"{"clientId": "canary", "accessToken": ["canary"]}"#);
    let warning = proxy.wait_for_log("the credentials were not replaced");
    assert!(warning.contains("WARN") && warning.contains("c.json"), "{warning}");
    assert!(warning.contains("`accessToken`: expected a string, found an array"), "{warning}");
    assert_signs(&proxy, &upstream, "first", "secret-1");

    std::fs::remove_file(&file).unwrap();
    proxy.wait_for_log("cannot be read: No such file");
    assert_signs(&proxy, &upstream, "first", "secret-1");

    folder.put("c.json", credentials("second", "secret-2"));
    proxy.wait_for_log("client second");
    assert_signs(&proxy, &upstream, "second", "secret-2");
    assert!(!proxy.log().contains("canary"), "{}", proxy.log());
}

#[test]
fn updates_are_counted_by_result() {
    let (upstream, folder) = (Upstream::start([ScriptedResponse::status(200)]), Folder::new());
    let file = folder.put("c.json", credentials("first", "secret-1"));
    let proxy = with_file(&upstream, &file).args(["--admin", "127.0.0.1:0"]).start();
    let counts = || {
        let metrics = proxy.metrics();
        let count = |labels: &[&str; 2]| {
            let [source, result] = labels;
            let labels = format!("{{source=\"{source}\",result=\"{result}\"}}");
            value(&metrics, &format!("credential_updates_total{labels}")).unwrap()
        };
        [["file", "taken"], ["file", "refused"], ["put", "taken"], ["put", "refused"]]
            .each_ref()
            .map(count)
    };
    assert_eq!(counts(), [0.0; 4], "the credentials of the start are not an update");
    folder.put("c.json", "{}");
    proxy.wait_for_log("the credentials were not replaced");
    assert_eq!(counts(), [0.0, 1.0, 0.0, 0.0]);
    folder.put("c.json", credentials("second", "secret-2"));
    proxy.wait_for_log("client second");
    assert_eq!(counts(), [1.0, 1.0, 0.0, 0.0]);
    assert_eq!(proxy.call("PUT", "/credentials", credentials("third", "x")).status(), 200);
    assert_eq!(counts(), [1.0, 1.0, 1.0, 0.0]);
}

#[test]
fn an_update_waits_a_limited_time_for_requests_in_flight() {
    let latch = support::Latch::new();
    let responses =
        [ScriptedResponse::nothing().then_wait(&latch).then(OK), ScriptedResponse::status(200)];
    let (upstream, folder) = (Upstream::start(responses), Folder::new());
    let file = folder.put("c.json", credentials("first", "secret-1"));
    let proxy = with_file(&upstream, &file).args(["--credentials-drain", "0.2"]).start();
    let mut slow = proxy.connect();
    slow.send("GET /api/queue/v1/slow HTTP/1.1\r\nHost: x\r\n\r\n");
    upstream.wait_for_requests(1);
    folder.put("c.json", credentials("second", "secret-2"));
    proxy.wait_for_log("1 request keeps the previous credentials");
    assert_signs(&proxy, &upstream, "second", "secret-2");
    latch.open();
    assert_eq!(slow.response().header("x-taskcluster-proxy-perm-clientid"), Some("first"));
}

/// Kubernetes mounts secrets this way.
#[cfg(unix)]
#[test]
fn the_file_may_be_a_symbolic_link() {
    use std::os::unix::fs::symlink;
    let (upstream, folder) = (Upstream::start([ScriptedResponse::status(200)]), Folder::new());
    for (version, client_id) in [("1", "first"), ("2", "other")] {
        std::fs::create_dir(folder.path(version)).unwrap();
        let file = folder.path(version).join("c.json");
        std::fs::write(file, credentials(client_id, "secret")).unwrap();
    }
    symlink("1", folder.path("data")).unwrap();
    symlink("data/c.json", folder.path("c.json")).unwrap();
    let proxy = with_file(&upstream, &folder.path("c.json")).start();
    // An ordinary write has created the file.
    proxy.wait_for_log("users other than its owner can access it (mode 0");
    assert_signs(&proxy, &upstream, "first", "secret");
    symlink("2", folder.path("next")).unwrap();
    std::fs::rename(folder.path("next"), folder.path("data")).unwrap();
    proxy.wait_for_log("client other");
    assert_signs(&proxy, &upstream, "other", "secret");
}

#[test]
fn files_without_valid_credentials_are_rejected_at_the_start() {
    let folder = Folder::new();
    for (contents, expected) in [
        (
            "canary",
            "expected a JSON object with clientId, accessToken and certificate: expected JSON",
        ),
        ("", "expected JSON, found an empty text"),
        (r#"{"clientId": "c"}"#, "`accessToken`: expected a string, found nothing"),
        // These are accepted from a launcher, but rejected in a file, whose author can correct them.
        (
            r#"{"clientId": "", "accessToken": "canary"}"#,
            "`clientId`: expected a clientId, found an empty string",
        ),
        (
            r#"{"clientId": "c", "accessToken": "canary", "certificate": "{\"version\":1,\"scopes\":null}"}"#,
            "`certificate`: `scopes`: expected an array of scopes, found null",
        ),
        (
            r#"{"clientId": "c", "accessToken": "canary", "certificate": "canary"}"#,
            "`certificate`: expected JSON, found a syntax error",
        ),
        (
            &credentials(&"c".repeat(4096), "canary"),
            "`clientId`: expected a clientId, found a string too long to sign with",
        ),
        (&" ".repeat(1024 * 1024 + 1), "expected at most 1048576 bytes, found more"),
    ] {
        assert_rejected(&folder.put("c.json", contents), expected);
    }
    assert_rejected(&folder.path("none.json"), "cannot be read: No such file");
    assert_rejected(&folder.path(""), "cannot be read: Is a directory");
}

#[test]
fn the_option_excludes_other_sources() {
    let proxy = Proxy::in_front_of("http://127.0.0.1:1").args(["--credentials-file", "x"]).run();
    let expected = "credentials from --credentials-file and from TASKCLUSTER_CLIENT_ID";
    assert!(proxy.stderr.contains(expected), "{}", proxy.stderr);
    assert!(!proxy.status.success());
}

#[cfg(unix)]
#[test]
fn a_descriptor_is_read_to_its_end() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let credentials = credentials("first", "secret");
    let script = format!("exec \"$0\" \"$@\" 3<<'END'\n{credentials}\nEND");
    let proxy = Proxy::builder()
        .env("TASKCLUSTER_ROOT_URL", upstream.root_url())
        .args(["--credentials-fd", "3"])
        // A shell, as a child otherwise inherits only stdin, stdout and stderr.
        .under(["sh", "-c", &script])
        .start();
    assert_signs(&proxy, &upstream, "first", "secret");
    assert!(!proxy.log().contains("secret"), "{}", proxy.log());

    let closed = Proxy::builder()
        .env("TASKCLUSTER_ROOT_URL", upstream.root_url())
        .args(["--credentials-fd", "77"])
        .run();
    assert!(closed.stderr.contains("--credentials-fd 77: cannot be read"), "{}", closed.stderr);
    assert!(!closed.status.success());
}

const OK: &str = "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n";

fn credentials(client_id: &str, access_token: &str) -> String {
    json!({ "clientId": client_id, "accessToken": access_token, "certificate": Value::Null })
        .to_string()
}

fn with_file(upstream: &Upstream, file: &Path) -> ProxyBuilder {
    Proxy::builder()
        .env("TASKCLUSTER_ROOT_URL", upstream.root_url())
        .args(["--credentials-file".as_ref(), file.as_os_str()])
}

/// Fails unless the next request is signed with these credentials.
fn assert_signs(proxy: &Proxy, upstream: &Upstream, client_id: &str, access_token: &str) -> Claim {
    assert_eq!(proxy.get("/api/queue/v1/x").status(), 200);
    let claim = Claim::of(&upstream.last_request()).assert_signed_with(access_token);
    assert_eq!(claim.id, client_id);
    claim
}

fn assert_rejected(file: &Path, expected: &str) {
    let ended = Proxy::builder()
        .env("TASKCLUSTER_ROOT_URL", "http://127.0.0.1:1")
        .args(["--credentials-file".as_ref(), file.as_os_str()])
        .run();
    assert_eq!(ended.status.code(), Some(1), "{file:?}");
    let line = ended.stderr.lines().last().unwrap_or_default();
    let expected_start = format!("taskcluster-proxy: --credentials-file {file:?}: ");
    assert!(line.starts_with(&expected_start) && line.contains(expected), "{line}");
    assert!(!ended.stderr.contains("canary"), "{}", ended.stderr);
}
