//! Long runs of many clients at once: mixed load with a working deployment, and all faults of
//! upstreams and networks at once.

mod mixed_load;
mod upstream_faults;
