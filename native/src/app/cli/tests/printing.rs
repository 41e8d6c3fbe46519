//! Tests of `--help` and the versions.

use super::*;
use crate::{inbound, outbound};

#[test]
fn versions() {
    assert_eq!(printed(&["--short-version"]), VERSION);
    let name = format!("Taskcluster proxy {VERSION}");
    let expected = match REVISION {
        Some(revision) => format!("{name} (git revision {revision})"),
        None => name,
    };
    assert_eq!(printed(&["--version"]), expected);
}

#[test]
fn help_names_everything_within_80_columns() {
    let help = printed(&["--help"]);
    assert_eq!(help, printed(&["-h"]));
    for line in help.lines() {
        assert!(line.len() < 80 && line.trim_end() == line, "{line:?}");
    }
    for name in [
        "-h, --help",
        "--version",
        "--short-version",
        "-p, --port <port>",
        "-i, --ip-address <address>",
        "-t, --task-id <taskId>",
        "--root-url <url>",
        "--client-id <clientId>",
        "--access-token <token>",
        "--certificate <json>",
        "--allowed-user <name>",
        "--allowed-network <cidr>",
        "--sandbox",
        "--credentials-file <path>",
        "--credentials-fd <number>",
        "--credentials-drain <seconds>",
        "--credentials-from <who>",
        "--tls-cert <pem>",
        "--tls-key <pem>",
        "--socket <path>",
        "--socket-mode <octal>",
        "--reject-browsers",
        "--allow-host <pattern>",
        "--connect-timeout <seconds>",
        "--head-timeout <seconds>",
        "--upstream-idle-timeout <seconds>",
        "--retry-budget <seconds>",
        "--drain-timeout <seconds>",
        "--replay-buffer <KiB>",
        "--replay-total <KiB>",
        "--log-level <level>",
        "--check",
        "--health",
        "--log-format <format>",
        "--admin <address>",
        "[<scope>...]",
        "TASKCLUSTER_ROOT_URL",
        "TASKCLUSTER_CLIENT_ID",
        "TASKCLUSTER_ACCESS_TOKEN",
        "TASKCLUSTER_CERTIFICATE",
    ] {
        assert!(help.contains(name), "{name}");
    }
}

#[test]
fn help_shows_the_default_limits() {
    let (inbound, outbound) = (inbound::Config::default(), outbound::Config::default());
    let help = printed(&["--help"]);
    for (option, default) in [
        ("--connect-timeout", outbound.connect_timeout.as_secs()),
        ("--head-timeout", inbound.header_timeout.as_secs()),
        ("--upstream-idle-timeout", outbound.idle_timeout.as_secs()),
        ("--drain-timeout", 30),
        ("--retry-budget", outbound.retries.budget.as_secs()),
        ("--replay-buffer", outbound.replay_buffer as u64 / 1024),
        ("--replay-total", outbound.replay_total as u64 / 1024),
    ] {
        let (_, after) = help.split_once(option).unwrap();
        let (_, shown) = after.split_once("[default: ").unwrap();
        assert!(shown.starts_with(&format!("{default}]")), "{option}");
    }
}
