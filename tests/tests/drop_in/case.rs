//! One row of the table: runs the proxy with it and compares the outcome.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use httpdate::fmt_http_date;
use serde_json::{Map, Value};
use std::ffi::OsString;
use std::time::SystemTime;
use support::hawk::Claim;
use support::{Proxy, ProxyBuilder, Request, ScriptedResponse, Upstream};

/// The access token of rows that are not about it. Like each secret in the table it contains
/// `canary`, and nothing else does.
pub(crate) const TOKEN: &str = "canary-token";

/// How credentials reach the proxy.
#[derive(Clone, Copy, Debug)]
pub(crate) enum How {
    Flag,
    Variable,
    /// In variables, with the misspelt name for the certificate of the Go program's documentation.
    MisspeltVariable,
    /// By PUT, to a proxy that was started with other credentials.
    Put,
    /// By PUT with this body.
    PutOf(&'static str),
}

/// The expected outcome.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// Requests are signed with them. `Some`: with a certificate, whose scopes are shown like this.
    Signs(Option<&'static str>),
    /// They become current, and requests get 500 with this in the message.
    Unusable(&'static str),
    /// The proxy does not start, for this reason.
    DoesNotStart(&'static str),
    /// The PUT gets 400 with this in the message, and the previous credentials stay.
    Refused(&'static str),
}

#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) how: How,
    /// clientId, accessToken, certificate.
    pub(crate) credentials: [Option<OsString>; 3],
    pub(crate) outcome: Outcome,
    /// What the only warning contains; `None`: there is no warning.
    pub(crate) warning: Option<&'static str>,
}

impl Case {
    pub(crate) fn run(self) {
        let upstream = Upstream::start(|_: &Request| {
            // With the services' time no ping has to ask for it before the first bewit.
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
            Outcome::Signs(scopes) => self.signs(&proxy, &upstream, scopes),
            Outcome::Unusable(expected) => unusable(&proxy, &upstream, expected),
            _ => {
                assert_eq!(proxy.get("/api/queue/v1/x").status(), 200);
                let claim = Claim::of(&upstream.last_request());
                assert_eq!(claim.assert_signed_with("no-secret").id, "tester");
            }
        }
        self.logs(proxy);
    }

    fn start(&self, upstream: &Upstream) -> ProxyBuilder {
        let root_url = upstream.root_url();
        let certificate = match self.how {
            How::Flag => {
                let options = ["--client-id", "--access-token", "--certificate"];
                let flags = options.into_iter().zip(&self.credentials);
                let flags = flags
                    .filter_map(|(option, value)| Some([OsString::from(option), value.clone()?]));
                return ProxyBuilder::args(Proxy::builder(), flags.flatten())
                    .env("TASKCLUSTER_ROOT_URL", root_url)
                    .args(["--log-level", "trace"]);
            }
            How::Variable => "TASKCLUSTER_CERTIFICATE",
            How::MisspeltVariable => "TASKCLUSTER_CERITIFICATE",
            How::Put | How::PutOf(_) => {
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

    /// The status of the PUT.
    fn body(&self) -> Option<String> {
        match self.how {
            How::PutOf(body) => Some(body.to_owned()),
            How::Put => {
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
        self.credentials[at].as_ref().map_or("", |text| text.to_str().expect("a text"))
    }

    /// Requests and URLs are signed with the given credentials, and `ext` contains the certificate
    /// byte for byte.
    fn signs(&self, proxy: &Proxy, upstream: &Upstream, scopes: Option<&str>) {
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

    /// One warning, or none, and no secret on any line.
    fn logs(&self, proxy: Proxy) {
        if let Some(warning) = self.warning {
            proxy.wait_for_log(warning);
        }
        let log = proxy.whole_log();
        assert!(!log.contains("canary"), "{log}");
        let warnings = log.lines().filter(|line| line.contains(" level=WARN "));
        // That a flag shows the token to others is another matter.
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

/// Nothing is sent, the error says why and since when, and the next PUT ends that.
fn unusable(proxy: &Proxy, upstream: &Upstream, expected: &str) {
    for response in [
        proxy.get("/api/queue/v1/x"),
        proxy.call("POST", "/queue/v1/x", "body"),
        proxy.get("/files.example.com/x"),
        proxy.call("POST", "/bewit", "https://tc.example.com/x"),
    ] {
        let message = response.assert_error(500, "InternalServerError");
        assert!(message.starts_with("the "), "{message}");
        assert!(message.contains(expected) && message.contains("(in force since 2"), "{message}");
        assert!(!message.contains("canary"), "{message}");
    }
    assert_eq!(upstream.requests().len(), 0);
    let good = r#"{"clientId":"good","accessToken":"canary-good","certificate":""}"#;
    assert_eq!(proxy.call("PUT", "/credentials", good).status(), 200);
    assert_eq!(proxy.get("/api/queue/v1/x").status(), 200);
    assert_eq!(Claim::of(&upstream.last_request()).assert_signed_with("canary-good").id, "good");
}
