//! `--check`: runs the steps of a start without serving requests, and reports the result of each.
//!
//! Each step adds lines to a [`Report`]. A step that depends on one that failed is reported as not known,
//! which does not count as a failure.

mod credentials;
mod deployment;
mod listener;
mod report;

pub use report::Report;

use crate::app::config::Config;
use crate::app::prepared::Prepared;
use crate::app::task_scopes::{self, TaskError};
use crate::inbound::Inherited;
use crate::os::clock;
use crate::outbound::call::{CallError, Response};
use crate::outbound::{self, Upstreams};
use std::time::Duration;
use taskcluster_proxy_core::credentials::scopes_to_json;
use taskcluster_proxy_core::proxy::{Restriction, RetryPolicy};
use tokio::time::timeout;

/// Opens everything that a start opens, and checks the responses of the deployment.
pub async fn run(mut config: Config, inherited: Inherited) -> Report {
    let mut report = Report::printing();
    listener::check_port(&config, inherited, &mut report).await;
    config.outbound = without_retries(config.outbound);
    let prepared = match Prepared::new(&mut config).await {
        Ok(prepared) => prepared,
        Err(error) => {
            report.fail("root url", error);
            return report;
        }
    };
    listener::report_opened(&config, &prepared, &mut report);
    let Upstreams { root_url, origin, outbound, .. } = match prepared.upstreams {
        Ok(upstreams) => upstreams,
        Err(error) => {
            report.fail("root url", error);
            return report;
        }
    };
    let reached = deployment::check(&outbound, &root_url, &origin, &mut report).await;
    let credentials = prepared.credentials.as_ref().ok().map(|(credentials, _)| credentials);
    let restriction = {
        let (scopes, task_id) = (config.scopes, config.task_id.as_deref());
        let without_task = task_scopes::without_task(&scopes, task_id);
        let fetching = task_scopes::restriction(scopes, task_id, &outbound, &root_url, credentials);
        let path = task_id.map(task_scopes::path).unwrap_or_default();
        check_restriction(fetching, &path, without_task, &mut report).await
    };
    match prepared.credentials {
        Err(error) => report.fail("credentials", error),
        Ok((credentials, _)) => {
            let now = reached.map_or_else(clock::now, |reached| reached.now);
            credentials::check_credentials(&credentials, now, &mut report);
            let outbound = reached.map(|_| &outbound);
            credentials::check_signature(
                &credentials,
                &restriction,
                &root_url,
                outbound,
                &mut report,
            )
            .await;
        }
    }
    report
}

/// Fetches the restriction as a start does, from `path`, and reports it. If the task's scopes cannot be
/// fetched, returns the restriction `without_task`.
async fn check_restriction(
    fetching: impl Future<Output = Result<Restriction, TaskError>>,
    path: &str,
    without_task: Restriction,
    report: &mut Report,
) -> Restriction {
    let error = match timeout(CALL_TIMEOUT, fetching).await {
        Ok(Ok(restriction)) => {
            match restriction.scopes.scopes() {
                None => report.ok("scopes", "all of the credentials: no restriction"),
                Some(scopes) => {
                    report.ok("scopes", format!("restricted to {}", scopes_to_json(scopes)));
                }
            }
            return restriction;
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => no_response(path).to_string(),
    };
    report.fail("scopes", error);
    without_task
}

/// The timeout of each request of a check, independent of `--connect-timeout`.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Limits a call to `path` to [`CALL_TIMEOUT`].
async fn with_timeout(
    path: &str,
    call: impl Future<Output = Result<Response, CallError>>,
) -> Result<Response, CallError> {
    timeout(CALL_TIMEOUT, call).await.unwrap_or_else(|_| Err(no_response(path)))
}

fn no_response(path: &str) -> CallError {
    CallError::NoResponse(path.to_owned(), CALL_TIMEOUT)
}

/// Disables retries, because a check should report the first failure.
fn without_retries(config: outbound::Config) -> outbound::Config {
    let retries = RetryPolicy { budget: Duration::ZERO, ..config.retries };
    outbound::Config { retries, ..config }
}
