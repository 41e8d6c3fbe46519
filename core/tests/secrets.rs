//! No secret shows in what a program prints of these types, nor in what it says of malformed ones.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::error::Error;
use std::fmt::{Debug, Write as _};
use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::credentials::{
    AuthorizedScopes, Certificate, CertificateText, Credentials, Scope, Signer,
    TemporaryCredentials,
};
use taskcluster_proxy_core::hawk::{
    AuthorizationHeader, Bewit, Claim, ReceivedRequest, UrlParts, parse_url, split_bewit,
};

const START: Timestamp = Timestamp::from_secs(1_767_225_600);
const EXPIRY: Timestamp = Timestamp::from_secs(1_767_229_200);

/// Stands in every value of the JSON texts below.
const CANARY: &str = "cAnArY";

proptest! {
    #[test]
    fn no_debug_shows_a_secret(
        access_token in "[A-Za-z0-9_-]{22,66}",
        seed in "[A-Za-z0-9_-]{44}",
    ) {
        let issuer = Credentials::permanent("issuer", &access_token)?;
        let credentials = TemporaryCredentials {
            name: None,
            scopes: vec![Scope::new("a:*")?],
            start: START,
            expiry: EXPIRY,
            seed: seed.clone(),
        }
        .issue(&issuer)?;
        let scopes = AuthorizedScopes::Only(vec![Scope::new("a:b")?]);
        let signer = Signer::restricted(&credentials, &scopes)?;
        let request = http::Request::get("https://tc.example.com/x").body(())?;
        let request = signer.sign(request, START, "nonce")?;

        let mut shown = String::new();
        show(&mut shown, &issuer);
        show(&mut shown, &credentials);
        show(&mut shown, &credentials.certificate);
        show(&mut shown, &credentials.access_token);
        show(&mut shown, &credentials.access_token.key());
        show(&mut shown, &credentials.access_token.key().mac_of(b"text"));
        show(&mut shown, &signer);
        show(&mut shown, &request);
        let received = request.headers()["authorization"].to_str()?;
        let header = AuthorizationHeader::parse(received)?;
        show(&mut shown, &header);
        let received = ReceivedRequest {
            method: "GET",
            url: UrlParts::try_from(request.uri())?,
            authorization: Some(received),
        };
        show(&mut shown, &received);
        show(&mut shown, &Claim::read(received)?);
        let signed = signer.bewit(&parse_url("https://tc.example.com/x")?, EXPIRY)?;
        let bewit = Bewit::decode(split_bewit(signed.as_str()).map_or("", |(_, bewit)| bewit))?;
        show(&mut shown, &bewit);

        let certificate = credentials.certificate.as_ref().map(CertificateText::as_str);
        let json: Value = serde_json::from_str(certificate.unwrap_or_default())?;
        let signature = json["signature"].as_str().unwrap_or_default();
        let ext = format!("{{\"certificate\":{{\"version\":1,\"scopes\":[\"a:*\"],\"start\":{START}");
        for secret in [
            access_token.as_str(),
            credentials.access_token.expose(),
            &seed,
            signature,
            &credentials.access_token.key().mac_of(b"text").to_string(),
            header.mac,
            &bewit.mac,
            // What every ext with this certificate starts with.
            STANDARD.encode(ext).trim_end_matches('='),
        ] {
            prop_assert!(!secret.is_empty());
            prop_assert!(!shown.contains(secret), "{} shows in {}", secret, shown);
        }
    }

    #[test]
    fn no_error_repeats_a_value(
        certificate in malformed(
            json!({
                "version": 1,
                "scopes": [CANARY],
                "start": START.millis(),
                "expiry": EXPIRY.millis(),
                "seed": CANARY.repeat(8).get(..44),
                "issuer": CANARY,
                "signature": CANARY,
            }),
            &["version", "scopes", "start", "expiry", "seed", "issuer", "signature"],
        ),
        credentials in malformed(
            json!({ "clientId": CANARY, "accessToken": CANARY, "certificate": null }),
            &["clientId", "accessToken", "certificate"],
        ),
    ) {
        prop_assert!(!told(Certificate::parse(&certificate)).contains(CANARY));
        let nested = json!({
            "clientId": "c",
            "accessToken": CANARY,
            "certificate": certificate,
        });
        for json in [credentials, nested.to_string()] {
            for read in [Credentials::from_json, Credentials::from_json_strict] {
                prop_assert!(!told(read(json.as_bytes())).contains(CANARY));
            }
        }
        let mut shown = String::new();
        let given = Credentials::unchecked("c", CANARY, certificate);
        for finding in given.findings(EXPIRY) {
            shown.push_str(&finding.to_string());
            show(&mut shown, &finding);
        }
        show(&mut shown, &Signer::new(&given));
        prop_assert!(!shown.contains(CANARY), "{}", shown);
    }
}

fn show(shown: &mut String, value: &impl Debug) {
    // Writing to a String cannot fail.
    let _ = write!(shown, "{value:?} {value:#?}");
}

/// All that an error, if it is one, says of itself.
fn told<T, E: Error>(result: Result<T, E>) -> String {
    let Err(error) = result else { return String::new() };
    let mut told = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(error) = source {
        told.push_str(&format!(" {error} {error:?}"));
        source = error.source();
    }
    told
}

/// The text of `valid` after a member was replaced and bytes were edited, if at all.
fn malformed(valid: Value, members: &'static [&'static str]) -> impl Strategy<Value = String> {
    let member = prop::option::of((prop::sample::select(members), any_value()));
    let edit = (any::<prop::sample::Index>(), prop::sample::select(EDITS));
    (member, prop::collection::vec(edit, 0..3)).prop_map(move |(replaced, edits)| {
        let mut object = valid.clone();
        if let (Some((member, value)), Some(object)) = (replaced, object.as_object_mut()) {
            object.insert(member.to_owned(), value);
        }
        edits.iter().fold(object.to_string(), |text, (at, edit)| {
            edit(text.split_at(at.index(text.len() + 1)))
        })
    })
}

fn any_value() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        Value::Null,
        json!(true),
        json!(2),
        json!(-1.5),
        json!(""),
        json!(CANARY),
        json!(format!("{CANARY}\"\n\\")),
        json!([CANARY]),
        json!([[CANARY], format!("{CANARY}\n")]),
        json!({ CANARY: CANARY }),
    ])
}

/// Changes a text of ASCII characters at the seam between its two parts.
type Edit = fn((&str, &str)) -> String;

const EDITS: &[Edit] = &[
    |(before, _)| before.to_owned(),
    |(before, after)| format!("{before}{}", after.get(1..).unwrap_or_default()),
    |(before, after)| format!("{before}\"{after}"),
    |(before, after)| format!("{before}\\{after}"),
    |(before, after)| format!("{before}{after}{before}"),
    |(before, after)| format!("{before}\0{after}"),
];
