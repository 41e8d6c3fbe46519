use super::*;
use crate::config::Listen;

fn health(args: &[&str]) -> Listen {
    match read(args, &Env::new()) {
        Ok(Command::Health(listen)) => listen,
        other => panic!("{args:?}: {other:?}"),
    }
}

#[test]
fn health_needs_to_know_where_and_nothing_else() {
    assert_eq!(health(&["--health"]), Listen { address: None, port: 8080 });
    let address = Some("127.0.0.2".parse().unwrap());
    assert_eq!(health(&["-p80", "--health", "-i127.0.0.2"]), Listen { address, port: 80 });
}

#[test]
fn health_of_a_port_that_is_none() {
    let error = error(&["--health", "--port", "-1"], &Env::new());
    assert_eq!(error, "port -1 is not in range [0,65535]");
}
