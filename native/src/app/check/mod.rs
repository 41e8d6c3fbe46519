//! `--check`: a start that stops before it listens, and reports what each of its steps found.
//!
//! Each step adds lines to a [`Report`]. A step that depends on one that failed is reported as not
//! known, which is no failure of its own.

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
use taskcluster_proxy_core::credentials::{Signer, scopes_to_json};
use taskcluster_proxy_core::proxy::{Restriction, RetryPolicy};
use tokio::time::timeout;

/// Opens what a start opens, and looks at what the deployment responds.
pub async fn run(mut config: Config, inherited: Inherited) -> Report {
    let mut report = Report::printing();
    listener::check_port(&config, inherited, &mut report).await;
    config.outbound = without_retries(config.outbound);
    // A sandbox runs until the end of the check.
    let prepared = match Prepared::new(&config).await {
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
    let signer = prepared.credentials.as_ref().ok().and_then(|(given, _)| Signer::new(given).ok());
    let restriction = {
        let (scopes, task_id) = (config.scopes, config.task_id.as_deref());
        let given = task_scopes::given(&scopes, task_id);
        let fetching =
            task_scopes::restriction(scopes, task_id, &outbound, &root_url, signer.as_ref());
        let path = task_id.map(task_scopes::path).unwrap_or_default();
        check_restriction(fetching, &path, given, &mut report).await
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

/// The restriction as a start would fetch it from `path`. If the task's scopes cannot be fetched, it is
/// the one that was `given` without them.
async fn check_restriction(
    fetching: impl Future<Output = Result<Restriction, TaskError>>,
    path: &str,
    given: Restriction,
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
    given
}

/// Each call has this long, whatever `--connect-timeout` says.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The result of a call to `path`, which has [`CALL_TIMEOUT`].
async fn called(
    path: &str,
    call: impl Future<Output = Result<Response, CallError>>,
) -> Result<Response, CallError> {
    timeout(CALL_TIMEOUT, call).await.unwrap_or_else(|_| Err(no_response(path)))
}

fn no_response(path: &str) -> CallError {
    CallError::NoResponse(path.to_owned(), CALL_TIMEOUT)
}

/// The first failure is what a check is for.
fn without_retries(config: outbound::Config) -> outbound::Config {
    let retries = RetryPolicy { budget: Duration::ZERO, ..config.retries };
    outbound::Config { retries, ..config }
}
