//! What this program is.

/// The semantic version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The git revision that it was built from, where that is known.
pub const REVISION: Option<&str> = option_env!("GIT_REVISION");
