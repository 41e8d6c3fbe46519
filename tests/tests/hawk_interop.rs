//! Headers and bewits go both ways between core and implementations of Hawk that others wrote: npm
//! `hawk`, which Taskcluster's auth service runs, and PyPI `mohawk`.

use serde_json::{Value, json};
use stories::clients::{Oracle, node, python};
use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::credentials::{
    AuthenticateError, Client, ClientId, Credentials, Scope, Signer, TemporaryCredentials,
    Verified, authenticate,
};
use taskcluster_proxy_core::hawk::{AuthorizationHeader, HttpUrl, RequestLine, append_bewit};

const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);
const HOUR: u64 = 3600;

/// Every implementation signs these as they stand.
const URLS: &[&str] = &[
    "https://tc.example.com/",
    "https://tc.example.com:8443/api/queue/v1/ping",
    "http://tc.example.com/x",
    "http://127.0.0.1:61001/x",
    "https://tc.example.com//a//b///",
    "https://tc.example.com/a%2Fb%2fc%252F/./../d",
    "https://tc.example.com/!$&()*+,=:@~-._",
    "https://tc.example.com/x?zeta=2&alpha=1&flag&=&&b=%20+?/",
];

/// mohawk drops a last segment's `;` parameters and the `?` of an empty query.
const NOT_FOR_MOHAWK: &[&str] = &[
    "https://tc.example.com/x;p=1/y;q=2?z;a",
    "https://tc.example.com/x;",
    "https://tc.example.com/x?",
];

/// npm hawk's client, unlike its server, encodes `'` and takes an IPv6 address out of its brackets.
const NOT_FOR_NPM_HAWKS_CLIENT: &[&str] =
    &["https://tc.example.com/it's?quoted='", "http://[::1]:8080/x", "https://[2001:db8::1]/x"];

#[test]
fn npm_hawk_accepts_our_headers() {
    accepts_our_headers(&mut npm_hawk(), &[URLS, NOT_FOR_MOHAWK, NOT_FOR_NPM_HAWKS_CLIENT]);
}

#[test]
fn npm_hawk_accepts_our_bewits() {
    accepts_our_bewits(&mut npm_hawk(), &[URLS, NOT_FOR_MOHAWK, NOT_FOR_NPM_HAWKS_CLIENT]);
}

#[test]
fn we_accept_npm_hawks_headers() {
    we_accept_headers_of(&mut npm_hawk(), &[URLS, NOT_FOR_MOHAWK]);
}

#[test]
fn we_accept_npm_hawks_bewits() {
    we_accept_bewits_of(&mut npm_hawk(), &[URLS, NOT_FOR_MOHAWK]);
}

#[test]
fn mohawk_accepts_our_headers() {
    accepts_our_headers(&mut mohawk(), &[URLS]);
}

#[test]
fn mohawk_accepts_our_bewits() {
    accepts_our_bewits(&mut mohawk(), &[URLS]);
}

#[test]
fn we_accept_mohawks_headers() {
    we_accept_headers_of(&mut mohawk(), &[URLS]);
}

#[test]
fn we_accept_mohawks_bewits() {
    we_accept_bewits_of(&mut mohawk(), &[URLS]);
}

fn npm_hawk() -> Oracle {
    Oracle::start(node("hawk-verify.mjs"))
}

fn mohawk() -> Oracle {
    Oracle::start(python("mohawk_verify.py"))
}

fn accepts_our_headers(oracle: &mut Oracle, urls: &[&[&str]]) {
    for (url, credentials) in cases(urls) {
        let authorization = our_header(&credentials, &url);
        let altered = |attribute: &str| {
            authorization.replace(&format!(" {attribute}=\""), &format!(" {attribute}=\"1"))
        };
        let altered_ext = match authorization.contains(" ext=\"") {
            true => altered("ext"),
            false => format!("{authorization}, ext=\"1\""),
        };
        let question = json!({
            "check": "header",
            "id": credentials.client_id.as_str(),
            "key": credentials.access_token.expose(),
            "now": NOW.secs(),
            "method": "PUT",
            "url": url.to_string(),
            "authorization": authorization,
        });
        accepts(oracle, &question);
        for authorization in [altered("mac"), altered("ts"), altered("nonce"), altered_ext] {
            rejects(oracle, &question, "authorization", &authorization);
        }
        rejects(oracle, &question, "method", "POST");
        rejects(oracle, &question, "key", "another");
        for url in altered_urls(&url.to_string()) {
            rejects(oracle, &question, "url", &url);
        }
    }
}

fn accepts_our_bewits(oracle: &mut Oracle, urls: &[&[&str]]) {
    for (url, credentials) in cases(urls) {
        let expires = Timestamp::from_secs(NOW.secs() + HOUR);
        let signed = Signer::new(&credentials).bewit(&url, expires).unwrap();
        let mut question = json!({
            "check": "bewit",
            "id": credentials.client_id.as_str(),
            "key": credentials.access_token.expose(),
            "now": NOW.secs(),
            "method": "GET",
            "url": signed,
        });
        accepts(oracle, &question);
        rejects(oracle, &question, "key", "another");
        for url in altered_urls(&signed) {
            rejects(oracle, &question, "url", &url);
        }
        question["now"] = json!(NOW.secs() + HOUR + 1);
        assert_ne!(oracle.ask(&question)["error"], Value::Null, "an hour and a second later");
    }
}

fn we_accept_headers_of(oracle: &mut Oracle, urls: &[&[&str]]) {
    for (url, credentials) in cases(urls) {
        let ours = our_header(&credentials, &url);
        let question = json!({
            "sign": "header",
            "id": credentials.client_id.as_str(),
            "key": credentials.access_token.expose(),
            "now": NOW.secs(),
            "method": "PUT",
            "url": url.to_string(),
            "nonce": "n0nce",
            "ext": AuthorizationHeader::parse(&ours).unwrap().ext,
        });
        let answer = oracle.ask(&question);
        let line = RequestLine {
            method: "PUT",
            resource: url.resource(),
            host: url.host(),
            port: url.port(),
            authorization: answer["authorization"].as_str(),
        };
        assert_eq!(check(line), Ok(Some(verified(&credentials))), "{question} {answer}");
        let altered = answer["authorization"].as_str().unwrap().replace("mac=\"", "mac=\"A");
        assert!(check(RequestLine { authorization: Some(&altered), ..line }).is_err());
        refuse_altered(line);
        assert!(check(RequestLine { method: "POST", ..line }).is_err());
    }
}

fn we_accept_bewits_of(oracle: &mut Oracle, urls: &[&[&str]]) {
    for (url, credentials) in cases(urls) {
        let ours = our_header(&credentials, &url);
        let question = json!({
            "sign": "bewit",
            "id": credentials.client_id.as_str(),
            "key": credentials.access_token.expose(),
            "now": NOW.secs(),
            "url": url.to_string(),
            "ttl": HOUR,
            "ext": AuthorizationHeader::parse(&ours).unwrap().ext,
        });
        let answer = oracle.ask(&question);
        let resource = append_bewit(url.resource(), answer["bewit"].as_str().unwrap());
        let line = RequestLine {
            method: "GET",
            resource: &resource,
            host: url.host(),
            port: url.port(),
            authorization: None,
        };
        let expires = Some(Timestamp::from_secs(NOW.secs() + HOUR));
        let expected = Verified { expires, ..verified(&credentials) };
        assert_eq!(check(line), Ok(Some(expected)), "{question} {answer}");
        refuse_altered(line);
    }
}

/// Each URL with permanent and temporary credentials, restricted and not.
fn cases(urls: &[&[&str]]) -> Vec<(HttpUrl, Credentials)> {
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
        restrictions
            .map(|authorized_scopes| Credentials { authorized_scopes, ..credentials.clone() })
    });
    let credentials: Vec<Credentials> = credentials.collect();
    let urls = urls.iter().copied().flatten().map(|url| HttpUrl::parse(url).unwrap());
    urls.flat_map(|url| credentials.iter().cloned().map(move |it| (url.clone(), it))).collect()
}

fn our_header(credentials: &Credentials, url: &HttpUrl) -> String {
    let signer = Signer::new(credentials);
    let header = signer.authorization("PUT", url.as_uri(), NOW, "n0nce").unwrap();
    header.to_str().unwrap().to_owned()
}

/// Another host, port and target.
fn altered_urls(url: &str) -> [String; 3] {
    let url = HttpUrl::parse(url).unwrap();
    let (host, port, resource) = (url.host(), url.port(), url.resource());
    [
        format!("http://another.example.com:{port}{resource}"),
        format!("http://{host}:1{resource}"),
        format!("http://{host}:{port}/x{resource}"),
    ]
}

fn accepts(oracle: &mut Oracle, question: &Value) {
    assert_eq!(oracle.ask(question), json!({ "id": question["id"] }), "{question}");
}

fn rejects(oracle: &mut Oracle, question: &Value, member: &str, value: &str) {
    let mut altered = question.clone();
    altered[member] = json!(value);
    let answer = oracle.ask(&altered);
    // `Unauthorized: Bad mac`, `MacMismatch: ..`
    let bad_mac =
        answer["error"].as_str().is_some_and(|error| error.to_lowercase().contains("mac"));
    assert!(bad_mac, "{answer} to another {member}: {altered}");
}

/// What our verifying half makes of a request, where the issuer holds `*`.
fn check(line: RequestLine<'_>) -> Result<Option<Verified>, AuthenticateError> {
    authenticate(line, NOW, |client_id| {
        let issuer = issuer();
        (client_id == issuer.client_id.as_str()).then(|| Client {
            access_token: issuer.access_token,
            scopes: scopes(&["*"]),
            expires: None,
        })
    })
}

fn refuse_altered(line: RequestLine<'_>) {
    let resource = format!("/x{}", line.resource);
    for altered in [
        RequestLine { host: "another.example.com", ..line },
        RequestLine { port: 1, ..line },
        RequestLine { resource: &resource, ..line },
    ] {
        let refused = check(altered).map_err(|error| error.to_string());
        assert_eq!(refused, Err("Unauthorized: Bad mac".to_owned()), "{altered:?}");
    }
}

/// Who such a request is from.
fn verified(credentials: &Credentials) -> Verified {
    let certificate = credentials.certificate.as_ref();
    let held = certificate.map_or(scopes(&["*"]), |certificate| certificate.scopes().to_vec());
    let mut granted = credentials.authorized_scopes.clone().unwrap_or(held);
    granted.extend(scopes(&["assume:anonymous"]));
    Verified {
        client_id: credentials.client_id.to_string(),
        scopes: granted,
        expires: certificate.map(|certificate| certificate.expiry()),
        hash: None,
    }
}

fn issuer() -> Credentials {
    Credentials::permanent("project/Harbour|x~@y+z", "no-secret").unwrap()
}

fn scopes(texts: &[&str]) -> Vec<Scope> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}
