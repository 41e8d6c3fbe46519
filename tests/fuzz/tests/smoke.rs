//! Runs each fuzz target with its seeds and a number of mutations of them, the same ones each time.

use std::path::Path;
use support::Random;

#[test]
fn authorization() {
    smoke("authorization", 20_000, fuzz_targets::authorization);
}

#[test]
fn connection() {
    smoke("connection", 400, fuzz_targets::connection);
}

#[test]
fn credentials() {
    smoke("credentials", 20_000, fuzz_targets::credentials);
}

#[test]
fn destination() {
    smoke("destination", 20_000, fuzz_targets::destination);
}

#[test]
fn owner() {
    smoke("owner", 5_000, fuzz_targets::owner);
}

#[test]
fn scopes() {
    smoke("scopes", 5_000, fuzz_targets::scopes);
}

fn smoke(target: &str, count: usize, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut files: Vec<_> =
        files.map(|file| file.expect("the folder can be listed").path()).collect();
    files.sort();
    let seeds: Vec<Vec<u8>> =
        files.iter().map(|file| std::fs::read(file).expect("the file can be read")).collect();
    assert!(!seeds.is_empty(), "{folder:?} is empty");
    seeds.iter().for_each(|seed| body(seed));
    let mut random = Random::new(1);
    for _ in 0..count {
        let mut input = pick(&mut random, &seeds).clone();
        for _ in 0..=below(&mut random, 3) {
            mutate(&mut input, &seeds, &mut random);
        }
        body(&input);
    }
}

/// Characters and words that parsers look for.
const TOKENS: [&str; 16] = [
    "\r\n",
    "\n",
    "\r",
    "\0",
    " ",
    ":",
    ",",
    ";",
    "0",
    "\"",
    "\\",
    "{",
    "%2f",
    "*",
    "é",
    "Transfer-Encoding: chunked\r\n",
];

fn mutate(input: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Random) {
    let at = below(random, input.len() + 1);
    let end = at + below(random, input.len() - at + 1).min(below(random, 16));
    match below(random, 6) {
        0 => input.truncate(at),
        1 => drop(input.drain(at..end)),
        2 => drop(input.splice(at..end, pick(random, &TOKENS).bytes())),
        3 => {
            let copy = input[at..end].to_vec();
            input.splice(at..at, copy);
        }
        4 => {
            let other = pick(random, seeds);
            let from = below(random, other.len() + 1);
            input.splice(at..end, other[from..].iter().copied());
        }
        _ => {
            if let Some(byte) = input.get_mut(at) {
                *byte = below(random, 256) as u8;
            }
        }
    }
}

fn below(random: &mut Random, bound: usize) -> usize {
    random.below(bound as u64) as usize
}

fn pick<'a, T>(random: &mut Random, from: &'a [T]) -> &'a T {
    &from[below(random, from.len())]
}
