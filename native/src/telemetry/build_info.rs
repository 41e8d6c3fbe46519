//! Which taskcluster-proxy this is.

/// The semantic version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The git commit that it was built from, where the build could tell (`build.rs`).
pub const REVISION: Option<&str> = option_env!("GIT_REVISION");
