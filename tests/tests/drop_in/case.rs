//! A row of the table: runs the proxy with its credentials and checks the outcome.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use httpdate::fmt_http_date;
use serde_json::{Map, Value};
use std::ffi::OsString;
use std::time::SystemTime;
use support::hawk::Claim;
use support::{Proxy, ProxyBuilder, Request, ScriptedResponse, Upstream};

/// The access token of rows in which it does not matter. Each secret in the table contains `canary`,
/// and nothing else does.
pub(crate) const TOKEN: &str = "canary-token";

/// Source credentials reach the proxy.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source {
    Flag,
    Variable,
    /// In variables, with the misspelt name of the certificate's in the Go program's documentation.
    MisspeltVariable,
    /// By `PUT /credentials`, to a proxy that was started with other credentials.
    Put,
    /// By `PUT /credentials` with this body.
    PutBody(&'static str),
}

/// The expected outcome.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// Requests are signed with them; with `Some`, responses show these scopes of the certificate.
    Signs(Option<&'static str>),
    /// They become current, and requests get 500 with this text in the message.
    Unusable(&'static str),
    /// The proxy does not start, for this reason.
    DoesNotStart(&'static str),
    /// The PUT gets 400 with this text in the message, and the previous credentials stay current.
    Refused(&'static str),
}

#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) source: Source,
    /// clientId, accessToken, certificate.
    pub(crate) credentials: [Option<OsString>; 3],
    pub(crate) outcome: Outcome,
    /// A part of the only warning; `None` if there is no warning.
    pub(crate) warning: Option<&'static str>,
}

impl Case {
    pub(crate) fn run(self) {
        let upstream = Upstream::start(|_: &Request| {
            // With a Date the proxy knows the services' time, and sends no ping before the first bewit.
            ScriptedResponse::new(200, &[("Date", &fmt_http_date(SystemTime::now()))], "hello")
        });
        let builder = self.start(&upstream);
        if let Outcome::DoesNotStart(expected) = self.outcome {
            let ended = builder.run();
            assert_eq!(ended.status.code(), Some(1), "{ended:?}");
            assert_eq!(ended.stderr.lines().last(), Some(expected), "{ended:?}");
            assert!(!ended.stderr.contains("canary"), "{}", ended.stderr);
            return;
        }
        let proxy = builder.start();
        if let Some(body) = self.body() {
            let response = proxy.call("PUT", "/credentials", body);
            match self.outcome {
                Outcome::Refused(expected) => {
                    let message = response.assert_error(400, "InputError");
                    assert!(message.contains(expected), "{message}");
                    assert!(!message.contains("canary"), "{message}");
                }
                _ => assert_eq!((response.status(), response.text()), (200, "")),
            }
        }
        match self.outcome {
            Outcome::Signs(scopes) => self.assert_signs(&proxy, &upstream, scopes),
            Outcome::Unusable(expected) => assert_unusable(&proxy, &upstream, expected),
            _ => {
                assert_eq!(proxy.get("/api/queue/v1/x").status(), 200);
                let claim = Claim::of(&upstream.last_request());
                assert_eq!(claim.assert_signed_with("no-secret").id, "tester");
            }
        }
        self.assert_warnings(proxy);
    }

    fn start(&self, upstream: &Upstream) -> ProxyBuilder {
        let root_url = upstream.root_url();
        let certificate = match self.source {
            Source::Flag => {
                let options = ["--client-id", "--access-token", "--certificate"];
                let flags = options.into_iter().zip(&self.credentials);
                let flags = flags
                    .filter_map(|(option, value)| Some([OsString::from(option), value.clone()?]));
                return ProxyBuilder::args(Proxy::builder(), flags.flatten())
                    .env("TASKCLUSTER_ROOT_URL", root_url)
                    .args(["--log-level", "trace"]);
            }
            Source::Variable => "TASKCLUSTER_CERTIFICATE",
            Source::MisspeltVariable => "TASKCLUSTER_CERITIFICATE",
            Source::Put | Source::PutBody(_) => {
                return Proxy::in_front_of(root_url).args(["--log-level", "trace"]);
            }
        };
        let names = ["TASKCLUSTER_CLIENT_ID", "TASKCLUSTER_ACCESS_TOKEN", certificate];
        let given = names.into_iter().zip(&self.credentials);
        given
            .filter_map(|(name, value)| Some((name, value.as_ref()?)))
            .fold(Proxy::builder(), |builder, (name, value)| builder.env(name, value))
            .env("TASKCLUSTER_ROOT_URL", root_url)
            .args(["--log-level", "trace"])
    }

    /// The body of the PUT, if there is one.
    fn body(&self) -> Option<String> {
        match self.source {
            Source::PutBody(body) => Some(body.to_owned()),
            Source::Put => {
                let names = ["clientId", "accessToken", "certificate"];
                let given = names.into_iter().zip(&self.credentials);
                let members = given.filter_map(|(name, value)| {
                    Some((name.to_owned(), Value::from(value.as_ref()?.to_str()?)))
                });
                Some(Value::Object(members.collect::<Map<_, _>>()).to_string())
            }
            _ => None,
        }
    }

    fn text(&self, at: usize) -> &str {
        self.credentials[at].as_ref().map_or("", |text| text.to_str().expect("the text is UTF-8"))
    }

    /// Fails unless requests and URLs are signed with the given credentials, and `ext` contains the
    /// certificate byte for byte.
    fn assert_signs(&self, proxy: &Proxy, upstream: &Upstream, scopes: Option<&str>) {
        let response = proxy.get("/api/queue/v1/x");
        assert_eq!((response.status(), response.text()), (200, "hello"));
        let signed = proxy.call("POST", "/bewit", "https://tc.example.com/x");
        assert_eq!(signed.status(), 303);
        let (client_id, token, certificate) = (self.text(0), self.text(1), self.text(2));
        let ext = match scopes {
            None => String::new(),
            Some(_) => STANDARD.encode(format!("{{\"certificate\":{}}}", certificate.trim())),
        };
        for claim in [Claim::of(&upstream.last_request()), Claim::of_url(signed.text())] {
            let claim = claim.assert_signed_with(token);
            assert_eq!((claim.id.as_str(), claim.ext.as_str()), (client_id, ext.as_str()));
        }
        for response in [response, signed] {
            let header = |name: &str| response.header(&format!("x-taskcluster-proxy-{name}"));
            let (permanent, temporary) = match scopes {
                None => (Some(client_id), None),
                Some(_) => (None, Some(client_id)),
            };
            assert_eq!(header("perm-clientid"), permanent);
            assert_eq!((header("temp-clientid"), header("temp-scopes")), (temporary, scopes));
        }
    }

    /// Fails unless the log has the expected warning and no other one, and no secret.
    fn assert_warnings(&self, proxy: Proxy) {
        if let Some(warning) = self.warning {
            proxy.wait_for_log(warning);
        }
        let log = proxy.whole_log();
        assert!(!log.contains("canary"), "{log}");
        let warnings = log.lines().filter(|line| line.contains(" level=WARN "));
        // This warning is not about the credentials themselves.
        let warnings: Vec<&str> =
            warnings.filter(|line| !line.contains("--access-token shows")).collect();
        let expected = self.warning.into_iter().count();
        assert_eq!(warnings.len(), expected, "{warnings:#?}");
        for line in &warnings {
            assert!(line.contains(" look wrong: the "), "{line}");
            assert!(line.contains(self.warning.unwrap_or_default()), "{line}");
        }
    }
}

/// Fails unless nothing is forwarded, errors say why and since when, and requests are signed again
/// after a PUT of usable credentials.
fn assert_unusable(proxy: &Proxy, upstream: &Upstream, expected: &str) {
    for response in [
        proxy.get("/api/queue/v1/x"),
        proxy.call("POST", "/queue/v1/x", "body"),
        proxy.get("/files.example.com/x"),
        proxy.call("POST", "/bewit", "https://tc.example.com/x"),
    ] {
        let message = response.assert_error(500, "InternalServerError");
        assert!(message.starts_with("the "), "{message}");
        assert!(message.contains(expected) && message.contains("(current since 2"), "{message}");
        assert!(!message.contains("canary"), "{message}");
    }
    assert_eq!(upstream.requests().len(), 0);
    let good = r#"{"clientId":"good","accessToken":"canary-good","certificate":""}"#;
    assert_eq!(proxy.call("PUT", "/credentials", good).status(), 200);
    assert_eq!(proxy.get("/api/queue/v1/x").status(), 200);
    assert_eq!(Claim::of(&upstream.last_request()).assert_signed_with("canary-good").id, "good");
}
