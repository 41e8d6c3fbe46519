//! The table: credentials, the way in which they are given, and the expected outcome.

use crate::case::{Case, Outcome, Source, TOKEN};
use Outcome::{DoesNotStart, Refused, Signs, Unusable};
use serde_json::{Value, json};
use std::ffi::OsString;
use support::certificate;

pub(crate) fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, credentials, outcome, warning) in given_in_every_way() {
        for (way, source) in
            [("flag", Source::Flag), ("variable", Source::Variable), ("PUT", Source::Put)]
        {
            cases.push(Case {
                name: format!("{name} ({way})"),
                source,
                credentials: credentials.each_ref().map(|text| Some(OsString::from(&**text))),
                outcome: outcome.clone(),
                warning,
            });
        }
    }
    for (name, body, outcome, warning) in bodies() {
        let name = format!("{name} (PUT)");
        let credentials = string_members(body);
        cases.push(Case { name, source: Source::PutBody(body), credentials, outcome, warning });
    }
    for (name, source, credentials, outcome, warning) in starts() {
        cases.push(Case { name: name.to_owned(), source, credentials, outcome, warning });
    }
    cases
}

/// Credentials with the same outcome in whatever way they are given.
fn given_in_every_way() -> Vec<(&'static str, [Text; 3], Outcome, Option<&'static str>)> {
    let good = || certificate(&["a:*"]);
    let with = |member: &str, value: Value| {
        let mut certificate = good();
        certificate[member] = value;
        certificate.to_string()
    };
    let without = |member: &str| {
        let mut certificate = good();
        certificate.as_object_mut().expect("an object").remove(member);
        certificate.to_string()
    };
    let at = |minutes: i64| good()["start"].as_i64().expect("a time") + minutes * 60_000;
    let dated = |start: i64, expiry: i64| {
        let mut certificate = good();
        (certificate["start"], certificate["expiry"]) = (json!(at(start)), json!(at(expiry)));
        certificate.to_string()
    };
    let twice = good().to_string().replacen('{', r#"{"scopes":["z"],"#, 1);
    let spaced = format!(" {} \n", serde_json::to_string_pretty(&good()).expect("it is JSON"));
    let truncated = good().to_string()[..40].to_owned();

    let certificates = [
        // Valid certificates.
        ("permanent credentials", String::new(), Signs(None), None),
        ("a certificate with an issuer", good().to_string(), Signs(A), None),
        ("a certificate without an issuer", without("issuer"), Signs(A), None),
        ("an issuer of null", with("issuer", Value::Null), Signs(A), None),
        ("unknown members", with("more", json!({ "x": [1.50, "é"] })), Signs(A), None),
        ("a signature of another length", with("signature", json!("canary")), Signs(A), None),
        ("scopes given twice, of which the last ones count", twice, Signs(A), None),
        ("white space in a certificate", spaced, Signs(A), None),
        ("no scopes", with("scopes", json!([])), Signs(NO_SCOPES), None),
        // Certificates that the services do not expect.
        (
            "scopes null, as Go writes a nil slice",
            with("scopes", Value::Null),
            Signs(NO_SCOPES),
            Some("(`scopes`: expected an array of scopes, found null)"),
        ),
        (
            "scopes missing",
            without("scopes"),
            Signs(NO_SCOPES),
            Some("(`scopes`: expected an array of scopes, found nothing)"),
        ),
        (
            "scopes a string",
            with("scopes", json!("a:*")),
            Signs(NO_SCOPES),
            Some("`scopes`: expected an array of scopes, found a string"),
        ),
        (
            "an invalid scope",
            with("scopes", json!(["a:*", "é", 1])),
            Signs(A),
            Some("found a scope with characters outside of printable ASCII"),
        ),
        (
            "version and scopes alone",
            r#"{"version":1,"scopes":["scope1"]}"#.to_owned(),
            Signs(Some(r#"["scope1"]"#)),
            Some("`seed`: expected a string of 44 characters, found nothing; `signature`: "),
        ),
        (
            "an empty object",
            "{}".to_owned(),
            Signs(NO_SCOPES),
            Some("(`version`: expected 1, found"),
        ),
        (
            "a seed of one character",
            with("seed", json!("x")),
            Signs(A),
            Some("(`seed`: expected a string of 44 characters, found another string)"),
        ),
        ("a seed missing", without("seed"), Signs(A), Some("`seed`: expected a string of 44")),
        (
            "a signature missing",
            without("signature"),
            Signs(A),
            Some("(`signature`: expected a string, found nothing)"),
        ),
        (
            "version 2",
            with("version", json!(2)),
            Signs(A),
            Some("(`version`: expected 1, found another number)"),
        ),
        (
            "a version in a string",
            with("version", json!("1")),
            Signs(A),
            Some("`version`: expected 1, found a string"),
        ),
        ("a start missing", without("start"), Signs(A), Some("(`start`: expected a number of")),
        (
            "an expiry that is a date",
            with("expiry", json!("2026-01-01T00:00:00Z")),
            Signs(A),
            Some("(`expiry`: expected a number of milliseconds since 1970, found a string)"),
        ),
        (
            "an expired one",
            dated(-120, -61),
            Signs(A),
            Some("the certificate expired 1h 1min ago, at "),
        ),
        (
            "one not yet valid",
            dated(60, 120),
            Signs(A),
            Some("the certificate is not valid before "),
        ),
        ("a start within the tolerated clock skew", dated(4, 120), Signs(A), None),
        // Certificates with which nothing can be signed.
        ("a certificate that is not JSON", "canary".to_owned(), Unusable(SYNTAX), Some(SYNTAX)),
        ("a truncated certificate", truncated, Unusable(SYNTAX), Some(SYNTAX)),
        ("a certificate of white space", " ".to_owned(), Unusable(EMPTY), Some(EMPTY)),
        (
            "a certificate encoded twice",
            json!(good().to_string()).to_string(),
            Unusable("(expected a JSON object, found a string)"),
            Some("(expected a JSON object, found a string)"),
        ),
        (
            "a certificate that is an array",
            json!([good()]).to_string(),
            Unusable("(expected a JSON object, found an array)"),
            Some("(expected a JSON object, found an array)"),
        ),
        (
            "a certificate that is null",
            "null".to_owned(),
            Unusable("the certificate is not a JSON object"),
            Some("(expected a JSON object, found null)"),
        ),
    ];
    let certificates = certificates.into_iter().map(|(name, certificate, outcome, warning)| {
        (name, ["c/1".into(), TOKEN.into(), certificate.into()], outcome, warning)
    });
    let others = [
        ("a clientId with a space", ["a b~!", TOKEN], Signs(None), None),
        (
            "a clientId with a quotation mark",
            ["a\"b", TOKEN],
            Unusable(CHARACTERS),
            Some(CHARACTERS),
        ),
        ("a clientId with a backslash", ["a\\b", TOKEN], Unusable(CHARACTERS), Some(CHARACTERS)),
        ("a clientId with a line feed", ["a\nb", TOKEN], Unusable(CHARACTERS), Some(CHARACTERS)),
        ("a clientId outside of ASCII", ["é", TOKEN], Unusable(CHARACTERS), Some(CHARACTERS)),
        (
            "an accessToken with a line feed",
            ["c/1", "canary-token\n"],
            Signs(None),
            Some("the accessToken has white space"),
        ),
        (
            "an accessToken outside of ASCII",
            ["c/1", "canary-é"],
            Signs(None),
            Some("the accessToken has"),
        ),
    ];
    let others = others.into_iter().map(|(name, [client_id, token], outcome, warning)| {
        (name, [client_id.into(), token.into(), "".into()], outcome, warning)
    });
    certificates.chain(others).collect()
}

/// Bodies of `PUT /credentials` other than an object of three strings.
fn bodies() -> Vec<(&'static str, &'static str, Outcome, Option<&'static str>)> {
    vec![
        (
            "generic-worker's mock queue: all empty",
            r#"{"clientId":"","accessToken":"","certificate":""}"#,
            Signs(None),
            Some("the clientId is empty: requests are signed with it as it is"),
        ),
        ("an empty object", "{}", Signs(None), Some("; the accessToken is empty: ")),
        (
            "all null",
            r#"{"clientId":null,"accessToken":null,"certificate":null}"#,
            Signs(None),
            Some("the clientId is empty: "),
        ),
        (
            "no clientId",
            r#"{"accessToken":"canary-token"}"#,
            Signs(None),
            Some("the clientId is empty: "),
        ),
        (
            "no accessToken",
            r#"{"clientId":"c/1","certificate":""}"#,
            Signs(None),
            Some("the accessToken is empty: "),
        ),
        ("no certificate", r#"{"clientId":"c/1","accessToken":"canary-token"}"#, Signs(None), None),
        (
            "unknown members",
            r#"{"clientId":"c/1","accessToken":"canary-token","scopes":[1],"x":{"y":null}}"#,
            Signs(None),
            None,
        ),
        (
            "a certificate that is an object",
            r#"{"clientId":"c/1","accessToken":"canary","certificate":{"seed":"canary"}}"#,
            Refused("`certificate`: expected a string of JSON, or null, found an object"),
            None,
        ),
        (
            "a certificate that is a number",
            r#"{"clientId":"c/1","accessToken":"canary","certificate":1}"#,
            Refused("`certificate`: expected a string of JSON, or null, found a number"),
            None,
        ),
        (
            "a clientId that is a number",
            r#"{"clientId":1,"accessToken":"canary"}"#,
            Refused("`clientId`: expected a clientId, found a number"),
            None,
        ),
        (
            "an accessToken that is an array",
            r#"{"clientId":"c/1","accessToken":["canary"]}"#,
            Refused("`accessToken`: expected a string, found an array"),
            None,
        ),
        ("an array", r#"["canary"]"#, Refused("expected a JSON object, found an array"), None),
        ("null", "null", Refused("expected a JSON object, found null"), None),
        ("nothing", "", Refused("expected JSON, found an empty text"), None),
        ("not JSON", "clientId=c&accessToken=canary", Refused("found a syntax error"), None),
    ]
}

type Start = (&'static str, Source, [Option<OsString>; 3], Outcome, Option<&'static str>);

/// Credentials that can only be given at the start.
fn starts() -> Vec<Start> {
    let text = |text: &str| Some(OsString::from(text));
    let good = certificate(&["a:*"]).to_string();
    let mut starts = vec![
        (
            "the misspelt variable",
            Source::MisspeltVariable,
            [text("c/1"), text(TOKEN), text(&good)],
            Signs(A),
            None,
        ),
        (
            "the misspelt variable with scopes null",
            Source::MisspeltVariable,
            [text("c/1"), text(TOKEN), text(&good.replace(r#"["a:*"]"#, "null"))],
            Signs(NO_SCOPES),
            Some("`scopes`: expected an array of scopes, found null"),
        ),
        (
            "no certificate (flag)",
            Source::Flag,
            [text("c/1"), text(TOKEN), None],
            Signs(None),
            None,
        ),
        ("no clientId (flag)", Source::Flag, [None, text(TOKEN), None], NO_CLIENT_ID, None),
        ("no clientId (variable)", Source::Variable, [None, text(TOKEN), None], NO_CLIENT_ID, None),
        ("an empty clientId", Source::Variable, [text(""), text(TOKEN), None], NO_CLIENT_ID, None),
        ("no accessToken (flag)", Source::Flag, [text("c/1"), None, text(&good)], NO_TOKEN, None),
        ("no accessToken (variable)", Source::Variable, [text("c/1"), None, None], NO_TOKEN, None),
        ("an empty accessToken", Source::Flag, [text("c/1"), text(""), None], NO_TOKEN, None),
    ];
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStringExt as _;
        let bytes = Some(OsString::from_vec(b"canary\xff".to_vec()));
        let certificate = [text("c/1"), text(TOKEN), bytes];
        let name = "a certificate that is not UTF-8";
        starts.push((name, Source::Variable, certificate, Unusable(SYNTAX), Some(SYNTAX)));
    }
    starts
}

/// The members of a body that are strings, with which requests are signed.
fn string_members(body: &str) -> [Option<OsString>; 3] {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    ["clientId", "accessToken", "certificate"].map(|name| Some(body[name].as_str()?.into()))
}

type Text = std::borrow::Cow<'static, str>;

const A: Option<&str> = Some(r#"["a:*"]"#);
const NO_SCOPES: Option<&str> = Some("[]");
const EMPTY: &str = "the certificate is not a JSON object (expected JSON, found an empty text";
const SYNTAX: &str =
    "the certificate is not a JSON object (expected JSON, found a syntax error at line 1 column ";
const CHARACTERS: &str = "the clientId has characters that a Hawk header cannot hold";
const NO_CLIENT_ID: Outcome = DoesNotStart(
    "taskcluster-proxy: no clientId: give --client-id, or set TASKCLUSTER_CLIENT_ID in the \
     environment (see --help)",
);
const NO_TOKEN: Outcome = DoesNotStart(
    "taskcluster-proxy: no accessToken: give --access-token, or set TASKCLUSTER_ACCESS_TOKEN in \
     the environment (see --help)",
);
