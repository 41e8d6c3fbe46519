//! The URLs and credentials of the test cases, and our verification of them.

use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::credentials::{
    AuthenticateError, AuthorizedScopes, Client, ClientId, Credentials, Scope, Signer,
    TemporaryCredentials, Verified, authenticate,
};
use taskcluster_proxy_core::hawk::{ReceivedRequest, UrlParts, parse_url};
use url::Url;

pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);
pub(crate) const HOUR: u64 = 3600;

/// URLs that every implementation signs unchanged.
pub(crate) const URLS: &[&str] = &[
    "https://tc.example.com/",
    "https://tc.example.com:8443/api/queue/v1/ping",
    "http://tc.example.com/x",
    "http://127.0.0.1:61001/x",
    "https://tc.example.com//a//b///",
    "https://tc.example.com/a%2Fb%2fc%252F/./../d",
    "https://tc.example.com/!$&()*+,=:@~-._",
    "https://tc.example.com/x?zeta=2&alpha=1&flag&=&&b=%20+?/",
];

/// URLs that mohawk changes: it removes parameters after `;` from the last segment, and an empty query.
pub(crate) const NOT_FOR_MOHAWK: &[&str] = &[
    "https://tc.example.com/x;p=1/y;q=2?z;a",
    "https://tc.example.com/x;",
    "https://tc.example.com/x?",
];

/// URLs that npm hawk's client, unlike its server, changes: it encodes `'` and removes the brackets of
/// IPv6 addresses.
pub(crate) const NOT_FOR_NPM_HAWKS_CLIENT: &[&str] =
    &["https://tc.example.com/it's?quoted='", "http://[::1]:8080/x", "https://[2001:db8::1]/x"];

/// Credentials, and the scopes to which signatures are restricted.
#[derive(Clone)]
pub(crate) struct Restricted {
    pub(crate) credentials: Credentials,
    authorized_scopes: AuthorizedScopes,
}

impl Restricted {
    pub(crate) fn signer(&self) -> Signer {
        Signer::restricted(&self.credentials, &self.authorized_scopes).unwrap()
    }
}

/// Each URL with permanent and temporary credentials, restricted and not.
pub(crate) fn cases(urls: &[&[&str]]) -> Vec<(Url, Restricted)> {
    let temporary = TemporaryCredentials {
        name: Some(ClientId::new("named/temporary").unwrap()),
        scopes: scopes(&["a:*", "d: \"space\\"]),
        start: NOW,
        expiry: Timestamp::from_secs(NOW.secs() + 24 * HOUR),
        seed: "Zk3Qw8VbT5ShR1Lx0YcNdAeJ7mUo2PfGi9HtXyBw4KsE".to_owned(),
    };
    let temporary = temporary.issue(&issuer()).unwrap();
    let restrictions = [None, Some(scopes(&[])), Some(scopes(&["a:b", "a:c*"]))];
    let credentials = [issuer(), temporary].into_iter().flat_map(|credentials| {
        let restrictions = restrictions.clone();
        restrictions.map(|authorized_scopes| Restricted {
            credentials: credentials.clone(),
            authorized_scopes: authorized_scopes.into(),
        })
    });
    let credentials: Vec<Restricted> = credentials.collect();
    let urls = urls.iter().copied().flatten().map(|url| parse_url(url).unwrap());
    urls.flat_map(|url| credentials.iter().cloned().map(move |it| (url.clone(), it))).collect()
}

pub(crate) fn our_header(credentials: &Restricted, url: &Url) -> String {
    let signer = credentials.signer();
    let url = UrlParts::try_from(url).unwrap();
    signer.authorization_text("PUT", &url, NOW, "n0nce").unwrap()
}

/// The URL with another host, with another port and with another target.
pub(crate) fn altered_urls(url: &str) -> [String; 3] {
    let url = parse_url(url).unwrap();
    let UrlParts { host, port, resource } = UrlParts::try_from(&url).unwrap();
    [
        format!("http://another.example.com:{port}{resource}"),
        format!("http://{host}:1{resource}"),
        format!("http://{host}:{port}/x{resource}"),
    ]
}

/// The result of our verification, by a deployment in which the issuer has the scope `*`.
pub(crate) fn check(received: ReceivedRequest<'_>) -> Result<Option<Verified>, AuthenticateError> {
    authenticate(received, NOW, |client_id| {
        let issuer = issuer();
        (client_id == issuer.client_id.as_str()).then(|| Client {
            access_token: issuer.access_token,
            scopes: scopes(&["*"]),
            expires: None,
        })
    })
}

/// The expected result for a request that is signed with these credentials.
pub(crate) fn verified(restricted: &Restricted) -> Verified {
    let credentials = &restricted.credentials;
    let certificate = credentials.certificate.as_ref();
    let held = certificate.map_or(scopes(&["*"]), |certificate| certificate.scopes().to_vec());
    let mut granted = restricted.authorized_scopes.scopes().map_or(held, <[Scope]>::to_vec);
    granted.extend(scopes(&["assume:anonymous"]));
    Verified {
        client_id: credentials.client_id.to_string(),
        scopes: granted,
        expires: certificate.and_then(|certificate| certificate.expiry()),
        hash: None,
    }
}

fn issuer() -> Credentials {
    Credentials::permanent("project/Harbour|x~@y+z", "no-secret").unwrap()
}

fn scopes(texts: &[&str]) -> Vec<Scope> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}
