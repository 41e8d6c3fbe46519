//! Scopes that are missing. A response, credentials and a restriction in, the whole diagnosis out. The numbers are
//! those of the rows of issue 17.

use crate::case::{lacks, refused, unauthenticated};
use crate::service::{error, insufficient_scopes};
use serde_json::{Value, json};
use taskcluster_proxy_core::proxy::{RestrictionOrigin, ServiceError};

#[test]
fn row_2_alternatives_are_one_of() {
    let priorities = ["highest", "very-high", "high", "medium", "low", "very-low", "lowest"];
    let priorities = priorities.map(|priority| format!("queue:create-task:{priority}:proj/ci"));
    lacks(json!({ "AnyOf": priorities })).command_line(&["queue:get-artifact:*"]).gives(
        "the request needs one of [\"queue:create-task:highest:proj/ci\", \
         \"queue:create-task:very-high:proj/ci\", \"queue:create-task:high:proj/ci\", \
         \"queue:create-task:medium:proj/ci\", \"queue:create-task:low:proj/ci\", \
         \"queue:create-task:very-low:proj/ci\", \"queue:create-task:lowest:proj/ci\"], which the \
         scopes that requests are restricted to (those of the command line) do not grant; only the \
         services know whether client \"c/1\" has it",
    );
    lacks(json!({ "AllOf": ["a:b", { "AnyOf": ["c:d", { "AllOf": ["e", "f:g"] }] }] }))
        .certificate(&["queue:ping"])
        .gives(
            "the request needs all of [\"a:b\", one of [\"c:d\", all of [\"e\", \"f:g\"]]], which \
             the certificate does not grant",
        );
}

#[test]
fn row_3_any_scope_that_the_service_names() {
    for (missing, shown) in [
        (json!("*"), r#""*""#),
        (json!("plain"), r#""plain""#),
        (json!("ends:in:"), r#""ends:in:""#),
        (json!("a:\"b\""), r#""a:\"b\"""#),
        (json!("```"), r#""```""#),
        (json!("secrets:get:é"), r#""secrets:get:é""#),
        (json!("secrets:get:a\n```"), r#""secrets:get:a\n```""#),
        (json!({ "AllOf": ["x:\t", "y"] }), r#"all of ["x:\t", "y"]"#),
        (json!("{\"AllOf\": []}"), r#""{\"AllOf\": []}""#),
        (
            json!({ "AllOf": ["*", "x:", "a:\"b\"", "c,", "d\\e", "[", "- f", "```", ""] }),
            r#"all of ["*", "x:", "a:\"b\"", "c,", "d\\e", "[", "- f", "```", ""]"#,
        ),
    ] {
        let expected = format!("the request needs {shown}, which the certificate does not grant");
        lacks(missing).certificate(&["q:x"]).gives(&expected);
    }
}

#[test]
fn row_4_many_scopes() {
    let scopes: Vec<String> = (0..39).map(|number| format!("project:{number:02}")).collect();
    let case = lacks(json!({ "AllOf": scopes })).certificate(&["q:x"]);
    let all = scopes.iter().map(|scope| format!("\"{scope}\"")).collect::<Vec<_>>();
    let sentence = |scopes: &str| {
        format!("the request needs all of [{scopes}], which the certificate does not grant")
    };
    case.gives(&sentence(&all.join(", ")));
    let short = sentence(&format!("{}, and 19 more", all[..20].join(", ")));
    assert_eq!(case.diagnosis().to_header(), short);

    // Nested, long, and many.
    let long: Vec<Value> = (0..500)
        .map(|number| json!({ "AnyOf": [format!("a:{number}:{}", "x".repeat(60)), "b"] }))
        .collect();
    let diagnosis = lacks(json!({ "AllOf": long })).command_line(&["q:x"]).diagnosis();
    let header = diagnosis.to_header();
    assert!(header.len() > 800 && header.len() < 1024, "{header}");
    assert!(header.contains("\"b\"], and 9") && header.contains(" more], which the"), "{header}");
    assert!(diagnosis.to_string().len() > 30_000 && !diagnosis.to_string().contains(" more"));

    let huge = lacks(json!("x".repeat(5000))).certificate(&["q:x"]).diagnosis().to_header();
    assert_eq!(huge, "the request needs a scope, which the certificate does not grant");
    let huge = unauthenticated(&format!("Client with clientId '{}' not found", "x".repeat(5000)));
    let huge = huge.diagnosis().to_header();
    assert!(huge.len() < 1024 && huge.ends_with("..."), "{huge}");
}

#[test]
fn row_5_the_origin_of_the_restriction() {
    let task_id = Some("fN1SbArXTPSVFNUvaOlinQ".to_owned());
    for (command_line, task_id, expected) in [
        (true, None, "the command line"),
        (false, task_id.clone(), "task fN1SbArXTPSVFNUvaOlinQ (--task-id)"),
        (true, task_id, "the command line and of task fN1SbArXTPSVFNUvaOlinQ (--task-id)"),
    ] {
        lacks(json!("secrets:get:a"))
            .restricted(&["queue:*"], RestrictionOrigin { command_line, task_id })
            .gives(&format!(
                "the request needs \"secrets:get:a\", which the scopes that requests are restricted \
                 to (those of {expected}) do not grant; only the services know whether client \
                 \"c/1\" has it"
            ));
    }
    lacks(json!("secrets:get:a"))
        .certificate(&["queue:*"])
        .gives("the request needs \"secrets:get:a\", which the certificate does not grant");
    lacks(json!("secrets:get:a")).gives(
        "the request needs \"secrets:get:a\", which client \"c/1\" does not have: grant it to the \
         client or to one of its roles",
    );
}

#[test]
fn row_6_roles() {
    lacks(json!("secrets:get:a"))
        .certificate(&["assume:some-role", "queue:*"])
        .command_line(&["queue:*"])
        .gives(
            "the request needs \"secrets:get:a\", which the scopes that requests are restricted to \
             (those of the command line) do not grant; whether the certificate grants it depends on \
             its roles (\"assume:some-role\"), which only the services know",
        );
    // Each of these is expanded to the scopes of roles.
    for role in ["assume:*", "assume*", "ass*", "a*", ":*", "::*", ":a*"] {
        let case = lacks(json!("secrets:get:a")).certificate(&[role]).command_line(&[]);
        assert!(case.diagnosis().to_string().contains("depends on its roles"), "{role}");
    }
    for other in ["::a*", ":::*", ":assume:*", ":assume:x", "assumes*"] {
        let case = lacks(json!("secrets:get:a")).certificate(&[other]).command_line(&[]);
        assert!(!case.diagnosis().to_string().contains("depends on its roles"), "{other}");
    }
    // The service has expanded them.
    lacks(json!("secrets:get:a")).certificate(&["assume:some-role"]).gives(
        "the request needs \"secrets:get:a\", which the certificate, with the roles that it names, \
         does not grant",
    );
    lacks(json!("secrets:get:a")).certificate(&["assumed", "b*"]).command_line(&["q"]).gives(
        "the request needs \"secrets:get:a\", which the scopes that requests are restricted to (those \
         of the command line) do not grant; the certificate does not grant it either",
    );
}

#[test]
fn row_7_one_alternative_is_enough() {
    lacks(json!({ "AnyOf": ["a:x", "b:x"] })).certificate(&["b:*"]).command_line(&["q"]).gives(
        "the request needs one of [\"a:x\", \"b:x\"], which the scopes that requests are restricted \
         to (those of the command line) do not grant; the certificate grants \"b:x\": add that to the \
         restriction",
    );
    lacks(json!({ "AllOf": ["a:x", "b:x"] })).certificate(&["b:*"]).command_line(&["q"]).gives(
        "the request needs all of [\"a:x\", \"b:x\"], which the scopes that requests are restricted \
         to (those of the command line) do not grant; the certificate does not grant \"a:x\" either",
    );
}

#[test]
fn what_is_not_certain_is_not_said() {
    // Somebody else's scopes.
    let required = json!("auth:create-client:x");
    let other = insufficient_scopes("hook-id:project/x", &required, &required);
    refused(403, other).command_line(&["queue:*"]).gives("");
    // A scope may look like the end of the block.
    lacks(json!("secrets:get:a\n```\n\nb")).gives("");
    // The restriction grants it, so the message is about something else.
    lacks(json!("queue:x")).command_line(&["queue:*"]).gives("");
    lacks(json!({ "AnyOf": ["a", "queue:x"] })).certificate(&["queue:*"]).gives("");
    for body in
        [&b""[..], b"{}", b"<html>", b"{\"code\":\"InsufficientScopes\",\"message\":1}", b"\xff"]
    {
        refused(403, body.to_vec()).command_line(&["queue:*"]).gives("");
    }
    let next = "\n\nThis request requires the client to satisfy";
    for message in [
        format!("Client ID c/1 may not\n\n```\na:b\n```{next}"),
        format!("missing the following scopes:\n\n```\n[[\"a\"],\n[]]\n```{next}"),
        "missing the following scopes:\n\n```\na:b\n```\n\nand others".to_owned(),
    ] {
        let body = error("InsufficientScopes", 403, &message);
        refused(403, body).command_line(&["queue:*"]).gives("");
    }
    refused(404, error("ResourceNotFound", 404, "no such task")).command_line(&["q"]).gives("");
    for message in ["Bad Request: Unknown attribute: x", "Unauthorized: Missing attributes"] {
        let mut case = unauthenticated(message).certificate(&["*"]);
        case.gives("");
        case.resource = "/x?bewit=b".to_owned();
        case.gives("");
    }
}

/// Before release 28.
#[test]
fn the_words_of_older_services() {
    for message in [
        "You do not have sufficient scopes. You are missing the following scopes:\n\n```\na:b\n```\n\n\
         You have the scopes:\n\n```\n[]\n```",
        "Client ID c/1 does not have sufficient scopes and are missing the following scopes:\n\n\
         ```\na:b\n```\n\nYou have the scopes:\n\n```\n[]\n```",
    ] {
        refused(403, error("InsufficientScopes", 403, message))
            .certificate(&["q"])
            .gives("the request needs \"a:b\", which the certificate does not grant");
    }
}

#[test]
fn a_request_that_arrives_without_its_signature() {
    let required = json!("queue:x");
    let body = insufficient_scopes("auth-failed:no-auth", &required, &required);
    refused(403, body).command_line(&["queue:*"]).gives(
        "the service received no signature: something between the proxy and the service removes the \
         Authorization header",
    );
}

#[test]
fn row_14_a_message_in_one_line() {
    let body = insufficient_scopes("c/1", &json!("queue:get-task:x"), &json!("queue:get-task:x"));
    assert_eq!(
        ServiceError::parse(&body).unwrap().to_line(),
        "Client ID c/1 does not have sufficient scopes and is missing the following scopes: \
         `queue:get-task:x` This request requires the client to satisfy the following scope \
         expression: `queue:get-task:x`"
    );
}
