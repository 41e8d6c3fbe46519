//! Tests of the command line and the environment.

mod grammar;
mod health;
mod printing;
mod values;
mod variables;

use super::{CliError, Command, command, parse};
use crate::app::config::{Config, Deployment};
use crate::credentials::CredentialsSource;
use crate::telemetry::build_info::{REVISION, VERSION};
use std::collections::HashMap;
use std::ffi::OsString;
use std::time::Duration;
use taskcluster_proxy_core::credentials::{Credentials, Scope};

type Env = HashMap<&'static str, OsString>;

const ROOT_URL: &str = "https://tc.example.com";

const CERTIFICATE: &str = r#"{"version":1,"scopes":["a:b"],"start":1,"expiry":2,
    "seed":"Zk3Qw8VbT5ShR1Lx0YcNdAeJ7mUo2PfGi9HtXyBw4KsE","signature":"c2ln"}"#;

fn env(variables: &[(&'static str, &str)]) -> Env {
    variables.iter().map(|(name, value)| (*name, value.into())).collect()
}

/// The variables that newer workers set.
fn complete() -> Env {
    env(&[
        ("TASKCLUSTER_ROOT_URL", ROOT_URL),
        ("TASKCLUSTER_CLIENT_ID", "tester"),
        ("TASKCLUSTER_ACCESS_TOKEN", "no-secret"),
    ])
}

fn read(args: &[&str], env: &Env) -> Result<Command, CliError> {
    let args = args.iter().map(OsString::from);
    parse(std::iter::once("taskcluster-proxy".into()).chain(args), env)
}

fn config(args: &[&str], env: &Env) -> Config {
    match read(args, env) {
        Ok(Command::Run(config)) => *config,
        other => panic!("{args:?}: {other:?}"),
    }
}

fn run(args: &[&str]) -> Config {
    config(args, &complete())
}

fn printed(args: &[&str]) -> String {
    match read(args, &Env::new()) {
        Ok(Command::Print(text)) => text,
        other => panic!("{args:?}: {other:?}"),
    }
}

/// The message, which is one line.
fn error(args: &[&str], env: &Env) -> String {
    let message = read(args, env).expect_err(&args.join(" ")).to_string();
    assert!(!message.contains(char::is_control), "{message:?}");
    message
}

fn credentials(config: &Config) -> &Credentials {
    match &config.deployment {
        Deployment::Taskcluster { credentials: CredentialsSource::Given(credentials), .. } => {
            credentials
        }
        other => panic!("expected credentials, found {other:?}"),
    }
}
