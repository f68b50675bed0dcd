mod support;

use std::collections::HashMap;
use std::sync::Arc;

use circuitscope_kernels::exec::{Call, Code, Entries, EntriesMut, ExecError, Limits, Program, Run, Store, Timing};
use circuitscope_kernels::isa::Isa;
use circuitscope_kernels::machine::{Samples, Traffic, bandwidth, clock, fma};
use serde_json::json;
use support::*;

const GOES_ON: &dyn Fn() -> bool = &|| false;

fn rate(Samples { work, ns }: &Samples) -> f64 {
    work / ns.iter().copied().fold(f64::INFINITY, f64::min)
}

/// A product whose input has the slot `of_output` or one of its own.
fn product(of_input: usize) -> Arc<Program> {
    let program = json!({
        "version": 1,
        "values": [
            { "shape": ["rows", 8], "dtype": "f32", "slot": of_input },
            { "shape": ["rows", 8], "dtype": "f32", "slot": 1 },
            { "shape": ["rows", 8], "dtype": "f32", "slot": 2 },
        ],
        "slots": 3,
        "inputs": [{ "name": "x", "value": 0 }],
        "params": ["W"],
        "steps": [
            { "kernel": "linear", "in": [0], "out": [1], "params": [0, -1], "attrs": {} },
            { "kernel": "sum", "in": [1, 1], "out": [2], "params": [], "attrs": {} },
        ],
        "outputs": [{ "name": "y", "value": 2 }],
    });
    Arc::new(Program::parse(&program.to_string()).unwrap())
}

fn call(program: &Arc<Program>, store: &Store) -> Call {
    let sizes = HashMap::from([("rows".to_owned(), 3)]);
    let mut call = Call::bind(program, store, &sizes, Limits { threads: 2, memory_bytes: None }).unwrap();
    match call.input_mut("x").unwrap() {
        EntriesMut::F32(to) => to.copy_from_slice(&Random(1).floats(24)),
        _ => panic!("x holds floats"),
    }
    call
}

fn store() -> Store {
    let store = Store::new(*Isa::available().last().unwrap());
    store.define_owned("W", Random(2).floats(64), &[8, 8], &[8, 1]).unwrap();
    store
}

fn y(call: &Call) -> Vec<u32> {
    match call.output("y").unwrap() {
        Entries::F32(entries) => entries.iter().map(|entry| entry.to_bits()).collect(),
        _ => panic!("y holds floats"),
    }
}

const HOT: Timing = Timing { warm_up: 1, samples: 4, cold_bytes: 0, repack: false };

#[test]
fn a_call_that_is_timed_has_the_bits_of_one_that_is_not_however_often_and_from_whichever_caches() {
    let program = product(0);
    let mut once = call(&program, &store());
    once.execute(&Run::default()).unwrap();
    for timing in [HOT, Timing { cold_bytes: 9 << 20, ..HOT }, Timing { repack: true, ..HOT }] {
        let mut timed = call(&program, &store());
        for _ in 0..2 {
            let ns = timed.measure(&timing, &Run::default()).unwrap();
            assert!(ns.len() == 4 && ns.iter().all(|time| *time > 0.0), "{timing:?}: {ns:?}");
            assert_eq!(y(&timed), y(&once), "{timing:?}");
        }
    }
}

#[test]
fn what_cannot_be_repeated_is_refused_with_a_sentence() {
    let refused = |result: Result<Vec<f64>, ExecError>| result.unwrap_err();
    let error = refused(call(&product(2), &store()).measure(&HOT, &Run::default()));
    assert!(error.code == Code::BadProgram && error.message.contains("input x"), "{error:?}");
    let (program, packed) = (product(0), store());
    call(&program, &packed).measure(&HOT, &Run::default()).unwrap();
    let error = refused(call(&program, &packed).measure(&Timing { repack: true, ..HOT }, &Run::default()));
    assert!(error.code == Code::BadParam && error.message.contains('W'), "{error:?}");
    let error = refused(call(&program, &packed).measure(&Timing { samples: usize::MAX, ..HOT }, &Run::default()));
    assert_eq!(error.code, Code::BadInput);
    let stopped = Run::default();
    stopped.cancel();
    assert_eq!(refused(call(&program, &packed).measure(&HOT, &stopped)).code, Code::Cancelled);
}

#[test]
fn the_loop_of_multiplications_is_there_for_each_instruction_set_with_registers_of_its_own() {
    for isa in Isa::ALL {
        for threads in [1, 2] {
            let found = fma(isa, threads, 3, GOES_ON);
            assert_eq!(found.is_some(), isa != Isa::Portable && isa.is_available(), "{}", isa.name());
            if let Some(samples) = found {
                // A wider register does more work in a loop of as many steps; slower than 10 MFLOP/s is not a processor.
                assert!(samples.ns.len() == 3 && rate(&samples) > 0.01, "{}: {samples:?}", isa.name());
            }
        }
    }
}

#[test]
fn a_clock_lies_where_clocks_do() {
    if let Some(samples) = clock(5, GOES_ON) {
        // Cycles a nanosecond; held up by other programs it is measured too slow, never too fast.
        assert!(samples.ns.len() == 5 && rate(&samples) < 10.0, "{samples:?}");
    }
}

#[test]
fn traffic_counts_the_bytes_that_it_was_asked_for() {
    let isa = *Isa::available().last().unwrap();
    for traffic in [Traffic::Read, Traffic::Triad] {
        for (bytes, threads) in [(16 << 10, 1), (48 << 20, 2)] {
            let Samples { work, ns } = bandwidth(isa, traffic, bytes, threads, 2, GOES_ON).unwrap();
            assert!(work >= (32 << 20) as f64 && ns.len() == 2, "{traffic:?} {bytes}");
        }
        assert_eq!(bandwidth(isa, traffic, 64, 2, 2, GOES_ON), None);
    }
    assert!(bandwidth(isa, Traffic::Read, 1 << 20, 1, 5, &|| true).unwrap().ns.is_empty());
}
