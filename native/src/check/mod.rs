//! `--check`: what a start with the same options would find, without serving.
//!
//! Each step adds lines to a [`Report`]. One that cannot be taken because of another says so and
//! fails nothing: the other has.

mod credentials;
mod deployment;
mod listener;
mod report;

pub use report::Report;

use crate::clock;
use crate::config::{Config, Deployment, Limits};
use crate::inbound::Inherited;
use crate::outbound::{Origin, Outbound};
use crate::sandbox::Sandbox;
use crate::task;
use std::sync::Arc;
use std::time::Duration;
use taskcluster_proxy_core::credentials::{Credentials, Scope, Signer, scopes_to_json};
use taskcluster_proxy_core::proxy::{HostPolicy, RetryPolicy, RootUrl};

/// Looks at everything that a start needs, and at what the deployment says to it.
pub async fn run(config: Config, inherited: Inherited) -> Report {
    let mut report = Report::default();
    listener::check(&config, inherited, &mut report).await;
    // Until the end of the check.
    let mut sandbox = None;
    let (root_url, credentials) = match config.deployment {
        Deployment::Taskcluster { root_url, credentials } => (root_url, credentials.read().await),
        Deployment::Sandbox => match Sandbox::start().await {
            Ok(started) => {
                let started = sandbox.insert(started);
                (started.root_url(), Ok((started.credentials(), None)))
            }
            Err(error) => {
                report.fail("root url", format!("the sandbox cannot start: {error}"));
                return report;
            }
        },
    };
    let origin = match Origin::of_root_url(&root_url) {
        Ok(origin) => origin,
        Err(error) => {
            report.fail("root url", error);
            return report;
        }
    };
    let hosts = Arc::new(HostPolicy::new(config.allowed_hosts, origin.bare_host()));
    let outbound = match Outbound::new(&without_retries(config.limits), hosts, Arc::default()) {
        Ok(outbound) => outbound,
        Err(error) => {
            report.fail("root url", error);
            return report;
        }
    };
    let reached = deployment::check(&outbound, &root_url, &origin, &mut report).await;
    let task_id = config.task_id.as_deref();
    let origin = task::restriction_origin(&config.scopes, task_id);
    let signer = credentials.as_ref().ok().and_then(|(given, _)| Signer::new(given).ok());
    let signer = signer.as_ref();
    let scopes =
        authorized_scopes(&outbound, &root_url, task_id, config.scopes, signer, &mut report).await;
    match credentials {
        Err(error) => report.fail("credentials", error),
        Ok((credentials, _)) => {
            let credentials = Credentials { authorized_scopes: scopes, ..credentials };
            let now = reached.map_or_else(clock::now, |reached| reached.now);
            credentials::check_credentials(&credentials, now, &mut report);
            let asked = reached.map(|_| &outbound);
            credentials::check_signature(&credentials, origin, &root_url, asked, &mut report).await;
        }
    }
    report
}

/// As a start puts them together; those of a task that cannot be had are left out.
async fn authorized_scopes(
    outbound: &Outbound,
    root_url: &RootUrl,
    task_id: Option<&str>,
    scopes: Vec<Scope>,
    signer: Option<&Signer>,
    report: &mut Report,
) -> Option<Vec<Scope>> {
    let given = scopes.clone();
    let scopes = match task::restriction(scopes, task_id, outbound, root_url, signer).await {
        Ok(scopes) => scopes,
        Err(error) => {
            report.fail("scopes", error);
            return Some(given);
        }
    };
    match &scopes {
        None => report.ok("scopes", "all of the credentials: no restriction"),
        Some(scopes) => report.ok("scopes", format!("restricted to {}", scopes_to_json(scopes))),
    }
    scopes
}

/// The first failure is what a check is for.
fn without_retries(limits: Limits) -> Limits {
    let retries = RetryPolicy { budget: Duration::ZERO, ..limits.retries };
    Limits { retries, ..limits }
}
