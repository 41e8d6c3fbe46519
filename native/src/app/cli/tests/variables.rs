//! Tests of values that can be given by option or by environment variable.

use super::*;

#[test]
fn options_alone_are_enough() {
    let flags = [
        ["--root-url", ROOT_URL],
        ["--client-id", "c"],
        ["--access-token", "t"],
        ["--certificate", CERTIFICATE],
    ];
    let config = config(flags.as_flattened(), &Env::new());
    assert_eq!(credentials(&config).client_id.as_str(), "c");
    assert_eq!(credentials(&config).access_token.expose(), "t");
    assert!(credentials(&config).certificate.is_some());
    assert!(config.scopes.is_empty());
}

#[test]
fn options_take_precedence_unless_empty() {
    let config = run(&["--client-id", "c", "--access-token", "", "--root-url="]);
    assert_eq!(credentials(&config).client_id.as_str(), "c");
    assert_eq!(credentials(&config).access_token.expose(), "no-secret");
}

#[test]
fn certificate_by_either_spelling() {
    const RIGHT: &str = "TASKCLUSTER_CERTIFICATE";
    const MISSPELT: &str = "TASKCLUSTER_CERITIFICATE";
    for (args, variables, temporary) in [
        (&[][..], &[][..], false),
        (&[], &[(RIGHT, ""), (MISSPELT, "")], false),
        (&[], &[(RIGHT, CERTIFICATE)], true),
        (&[], &[(MISSPELT, CERTIFICATE)], true),
        (&[], &[(RIGHT, ""), (MISSPELT, CERTIFICATE)], true),
        (&[], &[(RIGHT, CERTIFICATE), (MISSPELT, "nonsense")], true),
        (&["--certificate="], &[(RIGHT, CERTIFICATE)], true),
        (&["--certificate", CERTIFICATE], &[(RIGHT, "nonsense")], true),
    ] {
        let mut all = complete();
        all.extend(env(variables));
        let config = config(args, &all);
        assert_eq!(credentials(&config).certificate.is_some(), temporary, "{variables:?}");
    }
}

#[test]
fn missing() {
    for (variable, expected) in [
        ("TASKCLUSTER_ROOT_URL", "no root URL: give --root-url, or set TASKCLUSTER_ROOT_URL"),
        ("TASKCLUSTER_CLIENT_ID", "no clientId: give --client-id, or set TASKCLUSTER_CLIENT_ID"),
        (
            "TASKCLUSTER_ACCESS_TOKEN",
            "no accessToken: give --access-token, or set TASKCLUSTER_ACCESS_TOKEN",
        ),
    ] {
        let expected = format!("{expected} in the environment (see --help)");
        let mut env = complete();
        env.insert(variable, "".into());
        assert_eq!(error(&[], &env), expected);
        env.remove(variable);
        assert_eq!(error(&[], &env), expected);
    }
}

#[test]
fn a_malformed_root_url_names_where_it_was_found() {
    for (args, variables, expected) in [
        (
            &["--root-url", "tc.example.com"][..],
            &[][..],
            "--root-url (or TASKCLUSTER_ROOT_URL): expected an absolute URL",
        ),
        (
            &[],
            &[("TASKCLUSTER_ROOT_URL", "https://tc.example.com?x")],
            "TASKCLUSTER_ROOT_URL (or --root-url): expected a root URL",
        ),
    ] {
        let mut all = complete();
        all.extend(env(variables));
        let message = error(args, &all);
        assert!(message.starts_with(expected), "{message}");
    }
}

/// A launcher has no other credentials, so a start accepts those that look wrong.
#[test]
fn credentials_are_not_validated() {
    for (args, variables, expected) in [
        (&[][..], &[("TASKCLUSTER_CLIENT_ID", "a\"b")][..], ("a\"b", "no-secret", None)),
        (&["--access-token", " \n"], &[], ("tester", " \n", None)),
        (&["--certificate", "{}"], &[], ("tester", "no-secret", Some("{}"))),
        (&[], &[("TASKCLUSTER_CERTIFICATE", "[")], ("tester", "no-secret", Some("["))),
        (&[], &[("TASKCLUSTER_CERITIFICATE", " ")], ("tester", "no-secret", Some(" "))),
    ] {
        let mut all = complete();
        all.extend(env(variables));
        let config = config(args, &all);
        let found = credentials(&config);
        let certificate = found.certificate.as_ref().map(|certificate| certificate.as_str());
        let found = (found.client_id.as_str(), found.access_token.expose(), certificate);
        assert_eq!(found, expected);
    }
}

#[test]
fn credentials_from_a_file_or_a_descriptor() {
    let env = env(&[("TASKCLUSTER_ROOT_URL", ROOT_URL), ("TASKCLUSTER_CERTIFICATE", "")]);
    let source = |args| match config(args, &env).deployment {
        Deployment::Taskcluster { credentials, .. } => credentials,
        other => panic!("{other:?}"),
    };
    assert!(matches!(
        source(&["--credentials-file", "/a b"]),
        CredentialsSource::File(path) if path.as_os_str() == "/a b"
    ));
    assert!(matches!(source(&["--credentials-fd=3"]), CredentialsSource::Descriptor(3)));
    for text in ["", "-1", "+3", "x", "2147483648"] {
        let message = error(&["--credentials-fd", text], &env);
        let expected = "--credentials-fd: expected the number of an open file descriptor";
        assert!(message.starts_with(expected), "{message}");
    }
    let message = error(&["--credentials-file", ""], &env);
    assert!(message.starts_with("--credentials-file: expected a value"), "{message}");
}

#[test]
fn certificate_and_key_go_together() {
    assert_eq!(run(&[]).inbound.tls, None);
    let tls = run(&["--tls-cert", "c", "--tls-key", "k"]).inbound.tls.unwrap();
    assert_eq!([tls.certificate, tls.key], ["c", "k"].map(std::path::PathBuf::from));
    for [one, other] in [["--tls-cert", "--tls-key"], ["--tls-key", "--tls-cert"]] {
        let expected =
            format!("{one}: expected {other} as well, found none: give both, or neither");
        assert_eq!(error(&[one, "x"], &complete()), expected);
    }
}

#[test]
fn credentials_from_two_sources() {
    let root_url = env(&[("TASKCLUSTER_ROOT_URL", ROOT_URL)]);
    for (args, env, [one, other]) in [
        (
            &["--credentials-file", "f", "--credentials-fd", "3"][..],
            &root_url,
            ["--credentials-file", "--credentials-fd"],
        ),
        (
            &["--credentials-file", "f", "--client-id", "c"],
            &root_url,
            ["--credentials-file", "--client-id"],
        ),
        (&["--credentials-fd", "3"], &complete(), ["--credentials-fd", "TASKCLUSTER_CLIENT_ID"]),
    ] {
        let expected = format!("credentials from {one} and from {other}: leave one of them out");
        assert_eq!(error(args, env), expected);
    }
}

#[test]
fn sandbox_needs_nothing_and_ignores_the_environment() {
    let env = env(&[("TASKCLUSTER_ROOT_URL", "nonsense"), ("TASKCLUSTER_CERTIFICATE", "{")]);
    let config = config(&["--sandbox"], &env);
    assert!(matches!(config.deployment, Deployment::Sandbox));
}

#[test]
fn sandbox_conflicts_with_options_for_another_deployment() {
    for option in [
        "--root-url",
        "--client-id",
        "--access-token",
        "--certificate",
        "--credentials-file",
        "--credentials-fd",
    ] {
        assert_eq!(
            error(&["--sandbox", option, "x"], &Env::new()),
            format!(
                "--sandbox has its own root URL and credentials: leave out {option}, or \
                 --sandbox"
            )
        );
    }
}

#[cfg(unix)]
#[test]
fn not_utf8() {
    use std::os::unix::ffi::OsStringExt;
    let bytes = || OsString::from_vec(b"caf\xe9".to_vec());
    let long = |option: &str| vec![OsString::from(option), bytes()];
    for (args, expected) in [
        (vec![bytes()], "scope: expected text in UTF-8, found other bytes"),
        (long("--task-id"), "--task-id: expected text in UTF-8, found other bytes"),
        (long("--root-url"), "--root-url: expected text in UTF-8, found other bytes"),
        (
            vec![OsString::from_vec(b"--caf\xe9".to_vec())],
            "unknown option --caf\u{fffd} (see --help)",
        ),
    ] {
        let args = std::iter::once(OsString::new()).chain(args);
        assert_eq!(parse(args, &complete()).unwrap_err().to_string(), expected);
    }
    let mut env = complete();
    env.insert("TASKCLUSTER_CERTIFICATE", bytes());
    let config = config(&[], &env);
    let certificate = credentials(&config).certificate.as_ref().map(|it| it.as_str());
    assert_eq!(certificate, Some("caf\u{fffd}"));
    env.insert("TASKCLUSTER_ROOT_URL", bytes());
    let expected = "TASKCLUSTER_ROOT_URL: expected text in UTF-8, found other bytes";
    assert_eq!(error(&[], &env), expected);
}

/// Mistakes that involve a secret: neither the error nor the configuration shows it.
#[test]
fn nothing_shows_a_secret() {
    const TOKEN: &str = "canary-token";
    const CERTIFICATE: &str = "{\"version\":1,\"scopes\":\"canary-certificate\"}";
    for args in [
        &["--access-token", TOKEN, "--access-token", TOKEN][..],
        &["--access-token", TOKEN, "--foo"],
        &["--access-token", TOKEN, "--sandbox"],
        &["--access-tokencanary-token"],
        &["--acces_token=canary-token"],
        &["--a=canary-token"],
        &["--sandbox=canary-token"],
        &["-xcanary-token"],
        &["--certificate", CERTIFICATE],
        &["--certificate", "canary-certificate"],
        &["--certificate", "{\"canary-certificate\":1}"],
        &["--certificatecanary-certificate"],
        &["--certificate", CERTIFICATE, "--certificate", CERTIFICATE],
        &["--access-token", TOKEN, "--client-id", "\n"],
        &["--access-token", TOKEN, "--port", "x"],
        &["--credentials-fd", "{\"accessToken\":\"canary-token\"}"],
        &["--credentials-fd{\"accessToken\":\"canary-token\"}"],
        &["--credentials-file{\"accessToken\":\"canary-token\"}"],
    ] {
        for certificate in ["", CERTIFICATE] {
            let mut env = complete();
            env.extend([
                ("TASKCLUSTER_ACCESS_TOKEN", TOKEN.into()),
                ("TASKCLUSTER_CERTIFICATE", certificate.into()),
            ]);
            let shown = match read(args, &env) {
                Ok(command) => format!("{command:?}"),
                Err(failure) => format!("{failure} {failure:?}"),
            };
            assert!(!shown.contains("canary"), "{args:?}: {shown}");
        }
    }
}

/// The values of variables are shown neither in the help nor in completions.
#[test]
fn clap_shows_no_value_of_a_variable() {
    let command = command();
    let with_variable: Vec<_> =
        command.get_arguments().filter(|arg| arg.get_env().is_some()).collect();
    assert_eq!(with_variable.len(), 4);
    assert!(with_variable.iter().all(|arg| arg.is_hide_env_values_set()));
}
