//! What the fuzzer found worth keeping, once more.

#[path = "support/fuzz_cases.rs"]
mod fuzz_cases;

use std::fs;
use std::path::Path;

fn replay(target: &str, case: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut count = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        case(&fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > 20, "the corpus of {target} has {count} cases");
}

#[test]
fn programs_are_refused_or_run() {
    replay("program", fuzz_cases::program);
}

#[test]
fn products_are_their_chains_or_refused() {
    replay("product", fuzz_cases::product);
}

#[test]
fn the_first_k_are_those_of_a_sort() {
    replay("top_k", fuzz_cases::top_k);
}
