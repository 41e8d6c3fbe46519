//! Each entry of `fixtures/*.json` is a test of its own, asserted stage by stage: a failure names
//! the entry and the first stage that went wrong.

mod bewits;
mod credentials;
mod deployment;
mod hawk_headers;
mod routes;
mod temporary_credentials;

use libtest_mimic::{Arguments, Failed, Trial};
use serde::de::DeserializeOwned;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    macro_rules! trials {
        ($vector:ty, $file:literal) => {
            trials::<$vector>($file, include_str!(concat!("../../../fixtures/", $file, ".json")))
        };
    }
    let mut all = Vec::new();
    all.extend(trials!(hawk_headers::HeaderVector, "hawk-headers")?);
    all.extend(trials!(bewits::BewitVector, "bewits")?);
    all.extend(trials!(routes::RouteVector, "routes")?);
    all.extend(trials!(temporary_credentials::TemporaryVector, "temporary-credentials")?);
    libtest_mimic::run(&Arguments::from_args(), all).exit()
}

/// One entry of a fixture file.
trait Vector: DeserializeOwned + Send + 'static {
    /// What the entry is about; its name among those of its file.
    fn description(&self) -> &str;

    /// Goes through the stages, the first one first.
    fn check(&self) -> Result<(), Failed>;
}

fn trials<V: Vector>(
    file: &str,
    json: &str,
) -> serde_json::Result<impl Iterator<Item = Trial> + use<V>> {
    let vectors: Vec<V> = serde_json::from_str(json)?;
    let file = file.to_owned();
    Ok(vectors.into_iter().map(move |vector| {
        Trial::test(format!("{file}: {}", vector.description()), move || vector.check())
    }))
}
