//! Tests of the grammar: prefixes of options, values, positional arguments.

use super::*;
use crate::telemetry::log::{LogFormat, Logging};
use tracing_subscriber::filter::LevelFilter;

fn scopes(config: &Config) -> Vec<&str> {
    config.scopes.iter().map(Scope::as_str).collect()
}

#[test]
fn port_in_every_form() {
    for args in [
        &["--port", "80"][..],
        &["--port=80"],
        &["-p", "80"],
        &["-p80"],
        &["--po", "80"],
        &["--p=80"],
        &["--port", "+80"],
    ] {
        assert_eq!(run(args).inbound.listen.unwrap().port, 80, "{args:?}");
    }
}

#[test]
fn options_and_scopes_interleave() {
    let config = run(&["a", "--port", "80", "b*", "-t", "-task", "c"]);
    assert_eq!(scopes(&config), ["a", "b*", "c"]);
    assert_eq!(config.task_id.as_deref(), Some("-task"));
    assert_eq!(config.inbound.listen.unwrap().port, 80);
}

#[test]
fn two_hyphens_end_the_options() {
    assert_eq!(scopes(&run(&["a", "--", "--port", "-x", "--"])), ["a", "--port", "-x", "--"]);
}

#[test]
fn values_may_start_with_hyphens() {
    for args in [&["--task-id", "-abc"][..], &["--task-id=-abc"], &["-t", "-abc"], &["-t-abc"]] {
        assert_eq!(run(args).task_id.as_deref(), Some("-abc"), "{args:?}");
    }
    let env = env(&[]);
    let config =
        config(&["--root-url", ROOT_URL, "--client-id", "-c", "--access-token", "--version"], &env);
    assert_eq!(credentials(&config).client_id.as_str(), "-c");
    assert_eq!(credentials(&config).access_token.expose(), "--version");
}

#[test]
fn grammar_errors_precede_help_and_help_precedes_invalid_values() {
    let help = printed(&["--help"]);
    for args in [&["--port", "x", "--help"][..], &["-h", "--admin="], &["-h", "--sandbox"]] {
        assert_eq!(printed(args), help, "{args:?}");
    }
    assert_eq!(printed(&["--log-level", "x", "--short-version"]), VERSION);
    let message = error(&["--help", "--port", "x", "--foo"], &Env::new());
    assert_eq!(message, "unknown option --foo (see --help)");
}

/// The options of the Go program, each with a valid value.
const GO_OPTIONS: &[(&str, Option<&str>)] = &[
    ("help", None),
    ("version", None),
    ("short-version", None),
    ("port", Some("80")),
    ("ip-address", Some("127.0.0.1")),
    ("task-id", Some("id")),
    ("root-url", Some(ROOT_URL)),
    ("client-id", Some("tester")),
    ("access-token", Some("no-secret")),
    ("certificate", Some("")),
    ("allowed-user", Some("root")),
    ("allowed-network", Some("10.0.0.0/8")),
];

#[test]
fn unique_prefixes_of_the_go_programs_options() {
    for (name, value) in GO_OPTIONS {
        let by = |prefix: &str| {
            let prefix = format!("--{prefix}");
            let args: Vec<&str> = [prefix.as_str()].into_iter().chain(*value).collect();
            format!("{:?}", read(&args, &complete()))
        };
        for length in 1..=name.len() {
            let prefix = &name[..length];
            let matching = GO_OPTIONS.iter().filter(|(other, _)| other.starts_with(prefix)).count();
            let read = by(prefix);
            if matching == 1 {
                assert_eq!(read, by(name), "--{prefix}");
                assert!(read.starts_with("Ok"), "{read}");
            } else {
                assert!(read.starts_with("Err(Ambiguous"), "{read}");
            }
        }
    }
}

#[test]
fn prefixes_of_new_options() {
    let empty = Env::new();
    assert!(matches!(config(&["--sa"], &empty).deployment, Deployment::Sandbox));
    assert_eq!(run(&["--credentials-d", "1"]).credentials_drain, Duration::from_secs(1));
    let logging = Logging::new(LevelFilter::WARN, LogFormat::Text);
    assert_eq!(run(&["--log-l", "warn"]).logging, logging);
}

#[test]
fn grammar_errors() {
    for (args, expected) in [
        (&["--foo"][..], "unknown option --foo (see --help)"),
        (&["--foo=bar"], "unknown option --foo (see --help)"),
        (&["--portx", "1"], "unknown option --portx (see --help)"),
        (&["--f\noo"], "unknown option --f\\noo (see --help)"),
        (&["-x"], "unknown option -x (see --help)"),
        (&["-xyz"], "unknown option -x (see --help)"),
        (
            &["--allowed", "x"],
            "option --allowed could be any of --allowed-user, --allowed-network: write it out \
             (see --help)",
        ),
        (
            &["--c=x"],
            "option --c could be any of --client-id, --certificate, --credentials-file, \
             --credentials-fd, --credentials-drain, --credentials-from, --connect-timeout, --check: \
             write it out (see --help)",
        ),
        (&["--port", "1", "-p2"], "option --port given more than once (see --help)"),
        (&["--sandbox", "--sandbox"], "option --sandbox given more than once (see --help)"),
        (&["--port"], "option --port needs a value, found none (see --help)"),
        (&["-t"], "option --task-id needs a value, found none (see --help)"),
        (&["--sandbox=yes"], "option --sandbox takes no value, found one (see --help)"),
    ] {
        assert_eq!(error(args, &complete()), expected, "{args:?}");
    }
}
