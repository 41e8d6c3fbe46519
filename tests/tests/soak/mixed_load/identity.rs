//! The two sets of credentials that alternate in the soak test.

use serde_json::{Value, json};
use support::hawk::Claim;
use support::{Request, Response, certificate};

#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) client_id: &'static str,
    pub(crate) access_token: &'static str,
    certificate: Option<Value>,
}

impl Identity {
    /// Permanent and temporary credentials.
    pub(crate) fn both() -> [Self; 2] {
        [
            Self { client_id: "permanent", access_token: "no-secret", certificate: None },
            Self {
                client_id: "temporary",
                access_token: "another-secret",
                certificate: Some(certificate(&["a:*"])),
            },
        ]
    }

    /// The claim of a request; fails unless it is signed by one of these identities.
    pub(crate) fn verify(among: &[Self], request: &Request) -> Claim {
        let claim = Claim::of(request);
        let identity = among.iter().find(|identity| identity.client_id == claim.id);
        let identity = identity.unwrap_or_else(|| panic!("no identity is {:?}", claim.id));
        let claim = claim.assert_signed_with(identity.access_token);
        let certificate = identity.certificate.clone().unwrap_or_default();
        assert_eq!(claim.ext()["certificate"], certificate, "the certificate of {}", claim.id);
        claim
    }

    /// The clientId in the header fields of a response.
    pub(crate) fn of(response: &Response) -> Option<&str> {
        let names = ["x-taskcluster-proxy-perm-clientid", "x-taskcluster-proxy-temp-clientid"];
        names.into_iter().find_map(|name| response.header(name))
    }

    /// The body of `PUT /credentials`.
    pub(crate) fn update(&self) -> String {
        let Self { client_id, access_token, certificate } = self;
        let certificate = certificate.as_ref().map(Value::to_string);
        json!({ "clientId": client_id, "accessToken": access_token, "certificate": certificate })
            .to_string()
    }
}
