//! Long runs of many clients at once: mixed loads against a deployment that works, and against
//! upstreams and networks that fail in every way.

mod mixed_load;
mod upstream_faults;
