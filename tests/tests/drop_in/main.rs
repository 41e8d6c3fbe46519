//! Credentials as launchers give them: the signatures that the upstream receives, and the warnings in
//! the log (docs/compatibility.md, S5a and Q10). Each row of the table is a test of its own.

mod case;
mod puts;
mod rows;

use libtest_mimic::{Arguments, Trial};

fn main() {
    let rows = rows::all().into_iter();
    let rows = rows.map(|case| (case.name.clone(), Box::new(move || case.run()) as Test));
    let puts = puts::ALL.iter().map(|(name, test)| ((*name).to_owned(), Box::new(test) as Test));
    let trial = |(name, test): (String, Test)| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    libtest_mimic::run(&Arguments::from_args(), rows.chain(puts).map(trial).collect()).exit();
}

type Test = Box<dyn FnOnce() + Send>;
