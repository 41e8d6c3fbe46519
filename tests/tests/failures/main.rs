//! Tests of upstreams and networks that fail: retries, error responses, diagnosis.

mod addresses;
mod certificates;
mod chaos;
mod clock_skew;
mod diagnosis;
mod errors;
mod faults;
mod idle;
mod length_required;
mod retries;
