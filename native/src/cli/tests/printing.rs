use super::*;

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
        "--credentials-drain <seconds>",
        "--log-level <level>",
        "[<scope>...]",
        "TASKCLUSTER_ROOT_URL",
        "TASKCLUSTER_CLIENT_ID",
        "TASKCLUSTER_ACCESS_TOKEN",
        "TASKCLUSTER_CERTIFICATE",
    ] {
        assert!(help.contains(name), "{name}");
    }
}
