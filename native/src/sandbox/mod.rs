//! The embedded Taskcluster deployment.
