//! Tests of upstreams and networks that fail: retries, error responses, diagnosis.

mod chaos;
mod diagnosis;
mod errors;
mod faults;
mod idle;
mod retries;
