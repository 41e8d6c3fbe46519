//! The version and git revision of the program.

/// The semantic version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The git commit from which the program was built; `None` if it is unknown (`build.rs`).
pub const REVISION: Option<&str> = option_env!("GIT_REVISION");
