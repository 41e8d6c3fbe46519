//! Windows' service control manager: it may start the program, is told how far it is, and says when
//! to stop.

use crate::notify::State;
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::Duration;
use tokio::sync::Notify;
use windows_service::service::{
    ServiceControl, ServiceControlAccept, ServiceExitCode, ServiceState, ServiceStatus, ServiceType,
};
use windows_service::service_control_handler::{
    self, ServiceControlHandlerResult, ServiceStatusHandle,
};
use windows_service::{define_windows_service, service_dispatcher};

/// As long as the default of `--drain-timeout`, and a little more. Whoever does not hear of a service
/// for so long may take it for hung.
const PATIENCE: Duration = Duration::from_secs(40);

/// Whatever the service is called: the manager does not look at the name of one that has a process of
/// its own.
const NAME: &str = "taskcluster-proxy";

static PROGRAM: OnceLock<fn() -> ExitCode> = OnceLock::new();
static ENDED: OnceLock<ExitCode> = OnceLock::new();
static MANAGER: OnceLock<ServiceStatusHandle> = OnceLock::new();
static STOP: Notify = Notify::const_new();

/// Runs `program`: as a service if the manager has started this process, else as it is.
pub fn run(program: fn() -> ExitCode) -> ExitCode {
    let program = PROGRAM.get_or_init(|| program);
    match service_dispatcher::start(NAME, service_main) {
        Ok(()) => ENDED.get().copied().unwrap_or(ExitCode::FAILURE),
        // Nobody expects a service here.
        Err(_) => program(),
    }
}

/// Tells the manager, if there is one.
pub(crate) fn tell(state: State) {
    report(
        match state {
            State::Ready => ServiceState::Running,
            State::Stopping => ServiceState::StopPending,
        },
        0,
    );
}

/// Waits until the manager says so; for ever, if there is none.
pub(crate) async fn told_to_stop() {
    STOP.notified().await;
}

define_windows_service!(service_main, serve);

/// The arguments are those of `sc start`; the service's own are on its command line.
fn serve(_: Vec<OsString>) {
    let Ok(manager) = service_control_handler::register(NAME, obey) else {
        return;
    };
    // A process has one service, which is started once.
    let _ = MANAGER.set(manager);
    report(ServiceState::StartPending, 0);
    let code = PROGRAM.get().map_or(ExitCode::FAILURE, |program| program());
    let _ = ENDED.set(code);
    let number = (0..=u8::MAX).find(|number| ExitCode::from(*number) == code);
    report(ServiceState::Stopped, number.unwrap_or(1).into());
}

fn obey(control: ServiceControl) -> ServiceControlHandlerResult {
    match control {
        ServiceControl::Stop | ServiceControl::Shutdown => {
            STOP.notify_one();
            ServiceControlHandlerResult::NoError
        }
        ServiceControl::Interrogate => ServiceControlHandlerResult::NoError,
        _ => ServiceControlHandlerResult::NotImplemented,
    }
}

fn report(state: ServiceState, exit_code: u32) {
    let Some(manager) = MANAGER.get() else {
        return;
    };
    let pending = matches!(state, ServiceState::StartPending | ServiceState::StopPending);
    let told = manager.set_service_status(ServiceStatus {
        service_type: ServiceType::OWN_PROCESS,
        current_state: state,
        controls_accepted: match state {
            ServiceState::StartPending | ServiceState::Running => {
                ServiceControlAccept::STOP | ServiceControlAccept::SHUTDOWN
            }
            _ => ServiceControlAccept::empty(),
        },
        exit_code: match exit_code {
            0 => ServiceExitCode::NO_ERROR,
            code => ServiceExitCode::ServiceSpecific(code),
        },
        checkpoint: u32::from(pending),
        wait_hint: if pending { PATIENCE } else { Duration::ZERO },
        process_id: None,
    });
    if let Err(error) = told {
        tracing::warn!("cannot tell the service manager {state:?}: {error}");
    }
}
