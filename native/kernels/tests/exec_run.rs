mod support;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use circuitscope_kernels::exec::{Call, Code, Entries, EntriesMut, ExecError, Limits, Program, Run, Store};
use circuitscope_kernels::isa::Isa;
use circuitscope_kernels::ops::{self, AttentionOut, Heads, Masking, Norm, NormKind, NormOut, OnScores, Reach};
use serde_json::{Value as Json, json};
use support::*;

const FREE: Limits = Limits { threads: 2, memory_bytes: None };

fn program(json: &Json) -> Arc<Program> {
    Arc::new(Program::parse(&json.to_string()).unwrap())
}

fn sizes(pairs: &[(&str, usize)]) -> HashMap<String, usize> {
    pairs.iter().map(|(symbol, size)| (symbol.to_string(), *size)).collect()
}

fn fill(call: &mut Call, name: &str, floats: &[f32], ints: &[i32]) {
    match call.input_mut(name).unwrap() {
        EntriesMut::F32(to) => to.copy_from_slice(floats),
        EntriesMut::I32(to) => to.copy_from_slice(ints),
        EntriesMut::F64(_) => panic!("{name} holds doubles"),
    }
}

fn floats(call: &Call, name: &str) -> Vec<f32> {
    match call.output(name).unwrap() {
        Entries::F32(entries) => entries.to_vec(),
        _ => panic!("{name} holds no floats"),
    }
}

/// A value [rows, pos, …] of f32 in a slot of its own unless told otherwise.
fn value(slot: usize, shape: Json) -> Json {
    json!({ "shape": shape, "dtype": "f32", "slot": slot })
}

fn step(kernel: &str, inputs: Json, outputs: Json, params: Json, attrs: Json) -> Json {
    json!({ "kernel": kernel, "in": inputs, "out": outputs, "params": params, "attrs": attrs })
}

/// A one-layer model with tied embeddings: embed, norm, attention whose pattern is read out, unembed.
fn model() -> Json {
    json!({
        "version": 1,
        "values": [
            { "shape": ["rows", "pos"], "dtype": "i32", "slot": 0 },
            value(1, json!(["rows", "pos", 12])),
            value(2, json!(["rows", "pos", 12])),
            value(3, json!(["rows", "pos", 3, 4])),
            value(4, json!(["rows", "pos", 3, 4])),
            value(5, json!(["rows", 3, "pos", "pos"])),
            value(2, json!(["rows", "pos", 12])),
            value(6, json!(["rows", "pos", 50])),
        ],
        "slots": 7,
        "inputs": [{ "name": "tokens", "value": 0 }],
        "params": ["embed", "w", "b", "qkv"],
        "steps": [
            step("embed", json!([0]), json!([1]), json!([0]), json!({ "transposed": true })),
            step("norm", json!([1]), json!([2]), json!([1, 2]), json!({ "kind": "layer", "eps": 1e-5 })),
            step("linear", json!([2]), json!([3]), json!([3]), json!({})),
            step("attention", json!([3, 3, 3, -1]), json!([4, -1, 5]), json!([]), json!({ "scale": 0.5, "causal": true })),
            step("sum", json!([1, 1]), json!([6]), json!([]), json!({})),
            step("linear", json!([6]), json!([7]), json!([0, -1]), json!({})),
        ],
        "outputs": [{ "name": "logits", "value": 7 }, { "name": "pattern", "value": 5 }, { "name": "z", "value": 4 }],
    })
}

struct Weights {
    embed: Vec<f32>,
    w: Vec<f32>,
    b: Vec<f32>,
    qkv: Vec<f32>,
}

fn weights() -> Weights {
    let mut random = Random(1);
    Weights { embed: random.floats(12 * 50), w: random.floats(12), b: random.floats(12), qkv: random.floats(144) }
}

fn store(isa: Isa, weights: &Weights) -> Store {
    let store = Store::new(isa);
    store.define_owned("embed", weights.embed.clone(), &[12, 50], &[50, 1]).unwrap();
    store.define_owned("w", weights.w.clone(), &[12], &[1]).unwrap();
    store.define_owned("b", weights.b.clone(), &[12], &[1]).unwrap();
    store.define_owned("qkv", weights.qkv.clone(), &[12, 12], &[12, 1]).unwrap();
    store
}

/// What the model gives, by the operations alone.
fn by_hand(weights: &Weights, ids: &[i32], rows: usize, pos: usize) -> [Vec<f32>; 3] {
    let ctx = ctx(Isa::Portable, 1);
    let x: Vec<f32> =
        ids.iter().flat_map(|&id| (0..12).map(move |k| k * 50 + id as usize)).map(|at| weights.embed[at]).collect();
    let mut normal = vec![0.0; x.len()];
    let norm = Norm { width: 12, kind: NormKind::Layer, eps: 1e-5, w: Some(&weights.w), b: Some(&weights.b) };
    ops::norm(&ctx, norm, &x, NormOut { out: &mut normal, scale: None, normalized: None }).unwrap();
    let q = naive([rows * pos, 12, 12], &normal, &weights.qkv, None);
    let (mut z, mut pattern) = (vec![0.0; x.len()], vec![0.0; rows * 3 * pos * pos]);
    let heads = Heads { rows, pos, keys: pos, heads: 3, kv_heads: 3, width: 4 };
    let masking = Masking { scale: 0.5, reach: Reach::CAUSAL, keys: None };
    ops::attention(
        &ctx,
        heads,
        4,
        [&q, &q, &q],
        masking,
        OnScores::default(),
        AttentionOut { z: &mut z, scores: None, pattern: Some(&mut pattern) },
    )
    .unwrap();
    let twice: Vec<f32> = x.iter().map(|x| x + x).collect();
    [naive([rows * pos, 12, 50], &twice, &weights.embed, None), pattern, z]
}

#[test]
fn a_program_gives_the_bits_of_its_operations_on_every_path() {
    let weights = weights();
    let program = program(&model());
    let mut random = Random(2);
    for (rows, pos) in [(1, 1), (3, 7), (2, 65), (0, 4), (2, 0)] {
        let ids: Vec<i32> = (0..rows * pos).map(|_| random.below(50) as i32).collect();
        let wish = by_hand(&weights, &ids, rows, pos);
        for isa in Isa::available() {
            let store = store(isa, &weights);
            for threads in THREADS {
                let run = Run::default();
                let limits = Limits { threads, memory_bytes: None };
                let mut call = Call::bind(&program, &store, &sizes(&[("rows", rows), ("pos", pos)]), limits).unwrap();
                fill(&mut call, "tokens", &[], &ids);
                call.execute(&run).unwrap();
                for (name, wish) in ["logits", "pattern", "z"].into_iter().zip(&wish) {
                    assert!(same_bits(&floats(&call, name), wish), "{name} {isa:?} {threads} [{rows}, {pos}]");
                }
                assert_eq!(run.progress(), 6);
            }
            // The second run above already embedded from the packed panel; the tied matrix is held once.
            let bytes = store.bytes();
            assert_eq!((bytes.mapped, bytes.owned), (0, 2 * 12 * 4));
        }
    }
}

/// Steps that double a value, over and over, in as many slots as asked.
fn doublings(count: usize, slots: usize) -> Json {
    json!({
        "version": 1,
        "values": (0..=count).map(|at| value(at % slots, json!(["n"]))).collect::<Vec<_>>(),
        "slots": slots,
        "inputs": [{ "name": "x", "value": 0 }],
        "params": [],
        "steps": (0..count).map(|at| step("sum", json!([at, at]), json!([at + 1]), json!([]), json!({}))).collect::<Vec<_>>(),
        "outputs": [{ "name": "y", "value": count }],
    })
}

#[test]
fn shared_slots_give_what_slots_of_their_own_give() {
    let store = Store::new(Isa::Portable);
    let x: Vec<f32> = (0..100).map(|i| i as f32).collect();
    for slots in [2, 3, 11] {
        let mut call = Call::bind(&program(&doublings(10, slots)), &store, &sizes(&[("n", 100)]), FREE).unwrap();
        fill(&mut call, "x", &x, &[]);
        call.execute(&Run::default()).unwrap();
        assert!(floats(&call, "y").iter().zip(&x).all(|(y, x)| *y == x * 1024.0));
        assert_eq!(call.execute(&Run::default()).unwrap_err().code, Code::BadInput, "its inputs are used up");
    }
}

#[test]
fn a_call_says_what_it_lacks() {
    let weights = weights();
    let good = store(Isa::Portable, &weights);
    let program = program(&model());
    let bind = |store: &Store, pairs: &[(&str, usize)], memory_bytes| {
        Call::bind(&program, store, &sizes(pairs), Limits { threads: 1, memory_bytes })
            .map(|_| ())
            .map_err(|error| error.code)
    };
    let both = [("rows", 2), ("pos", 3)];
    // rows·pos of i32, twice 12, twice 12 by heads, the pattern, the logits.
    let needed = 4 * (6 + 4 * 72 + 2 * 3 * 9 + 300);
    assert_eq!(bind(&good, &both, Some(needed)), Ok(()));
    assert_eq!(bind(&good, &both, Some(needed - 1)), Err(Code::Memory));
    assert_eq!(bind(&good, &[("rows", 2)], None), Err(Code::BadInput));
    assert_eq!(
        bind(&good, &[("rows", 1 << 40), ("pos", 1)], Some(1 << 30)),
        Err(Code::Memory),
        "refused before it is taken"
    );
    assert_eq!(bind(&good, &[("rows", usize::MAX), ("pos", usize::MAX)], None), Err(Code::Memory));
    assert_eq!(bind(&good, &[("rows", 0), ("pos", usize::MAX)], None), Err(Code::Memory), "zero hides no huge size");
    assert_eq!(bind(&good, &[("rows", 1 << 46), ("pos", 1)], None), Err(Code::Memory), "no machine has this");
    good.remove("qkv");
    assert_eq!(bind(&good, &both, None), Err(Code::MissingParam));
    good.define_owned("qkv", vec![0.0; 132], &[11, 12], &[12, 1]).unwrap();
    assert_eq!(bind(&good, &both, None), Err(Code::BadProgram), "the weight does not fit the value");
}

#[test]
fn a_token_outside_the_vocabulary_is_an_error_of_the_run() {
    let weights = weights();
    let store = store(Isa::Portable, &weights);
    for id in [-1, 50, i32::MIN, i32::MAX] {
        let mut call = Call::bind(&program(&model()), &store, &sizes(&[("rows", 1), ("pos", 2)]), FREE).unwrap();
        fill(&mut call, "tokens", &[], &[3, id]);
        let error = call.execute(&Run::default()).unwrap_err();
        assert_eq!(error.code, Code::OutOfRange);
        assert!(error.message.contains(&id.to_string()) && error.message.contains("embed"), "{error}");
    }
}

/// The shortest of three times from asking to stop until a run had stopped; the machine may be busy once.
fn time_to_stop(program: &Arc<Program>, store: &Store, pairs: &[(&str, usize)], threads: usize) -> Duration {
    let once = || {
        let mut call = Call::bind(program, store, &sizes(pairs), Limits { threads, memory_bytes: None }).unwrap();
        let length = match call.input_mut("x").unwrap() {
            EntriesMut::F32(x) => {
                x.iter_mut().enumerate().for_each(|(i, x)| *x = (i % 97) as f32 / 97.0);
                x.len()
            }
            _ => 0,
        };
        assert!(length > 0);
        let run = Run::default();
        std::thread::scope(|scope| {
            let computing = scope.spawn(|| {
                let result = call.execute(&run);
                (result, Instant::now())
            });
            std::thread::sleep(Duration::from_millis(5));
            let asked = Instant::now();
            run.cancel();
            let (result, ended) = computing.join().unwrap();
            assert_eq!(result.map_err(|error| error.code), Err(Code::Cancelled), "it was over before it was stopped");
            ended.saturating_duration_since(asked)
        })
    };
    (0..3).map(|_| once()).min().unwrap()
}

#[test]
fn long_kernels_and_long_programs_stop_within_50_ms() {
    let one = |kernel: &str, input: Json, output: Json, params: Json, attrs: Json, inputs: usize| {
        json!({
            "version": 1,
            "values": [value(0, input), value(1, output)],
            "slots": 2,
            "inputs": [{ "name": "x", "value": 0 }],
            "params": ["w"],
            "steps": [step(kernel, json!(vec![0; inputs]), json!([1]), params, attrs)],
            "outputs": [{ "name": "y", "value": 1 }],
        })
    };
    let isa = *Isa::available().last().unwrap();
    let store = Store::new(isa);
    store.define_owned("w", vec![0.5; 1 << 20], &[1024, 1024], &[1024, 1]).unwrap();
    let cases = [
        ("linear", one("linear", json!(["n", 1024]), json!(["n", 1024]), json!([0]), json!({}), 1), 1 << 15),
        (
            "attention",
            one(
                "attention",
                json!([1, "n", 8, 64]),
                json!([1, "n", 8, 64]),
                json!([]),
                json!({ "scale": 1.0, "causal": false }),
                3,
            ),
            8192,
        ),
        (
            "linear_grad_weight",
            one("linear_grad_weight", json!(["n", 1024]), json!([1, 1024, 1024]), json!([]), json!({}), 2),
            1 << 15,
        ),
        ("softmax", one("softmax", json!(["n", 1 << 16]), json!(["n", 1 << 16]), json!([]), json!({}), 1), 800),
        ("doublings", doublings(20_000, 2), 100_000),
    ];
    for (name, json, n) in cases {
        let program = program(&json);
        for threads in [1, 2] {
            let time = time_to_stop(&program, &store, &[("n", n)], threads);
            println!("{name}, {threads} threads: {time:?}");
            assert!(time < Duration::from_millis(50), "{name} took {time:?}");
        }
    }
}

#[test]
fn a_run_that_was_stopped_before_it_began_does_nothing() {
    let store = Store::new(Isa::Portable);
    let mut call = Call::bind(&program(&doublings(3, 2)), &store, &sizes(&[("n", 4)]), FREE).unwrap();
    fill(&mut call, "x", &[1.0; 4], &[]);
    let run = Run::default();
    run.cancel();
    assert_eq!(call.execute(&run).map_err(|error| error.code), Err(Code::Cancelled));
    assert_eq!(run.progress(), 0);
}

#[test]
fn calls_at_once_from_many_threads_give_the_same() {
    let weights = weights();
    let store = store(*Isa::available().last().unwrap(), &weights);
    let program = program(&model());
    let ids: Vec<i32> = (0..40).map(|i| i * 7 % 50).collect();
    let wish = by_hand(&weights, &ids, 2, 20);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                for _ in 0..10 {
                    let mut call = Call::bind(&program, &store, &sizes(&[("rows", 2), ("pos", 20)]), FREE).unwrap();
                    fill(&mut call, "tokens", &[], &ids);
                    call.execute(&Run::default()).unwrap();
                    assert!(same_bits(&floats(&call, "logits"), &wish[0]));
                }
            });
        }
    });
}

/// One change somewhere in a JSON value: an entry replaced, removed, doubled.
fn mutate(json: &mut Json, random: &mut Random) {
    let junk = |random: &mut Random| {
        let choices = [
            json!(-1),
            json!(0),
            json!(1),
            json!(3),
            json!(1e300),
            json!(0.5),
            json!(9007199254740993u64),
            json!(null),
            json!(true),
            json!("rows"),
            json!("x"),
            json!([]),
            json!({}),
            json!("sum"),
            json!("linear"),
            json!("i32"),
            json!([0, 1, 2]),
            json!(-1e-7),
        ];
        choices[random.below(choices.len())].clone()
    };
    let stop = random.below(6) == 0;
    match json {
        Json::Array(list) if !stop && !list.is_empty() => {
            let at = random.below(list.len());
            match random.below(8) {
                0 => drop(list.remove(at)),
                1 => list.push(list[at].clone()),
                2 => {
                    let other = random.below(list.len());
                    list.swap(at, other);
                }
                _ => mutate(&mut list[at], random),
            }
        }
        Json::Object(map) if !stop && !map.is_empty() => {
            let key = map.keys().nth(random.below(map.len())).cloned().unwrap();
            match random.below(12) {
                0 => drop(map.remove(&key)),
                _ => mutate(map.get_mut(&key).unwrap(), random),
            }
        }
        Json::String(text) if random.below(3) == 0 => {
            let names = [
                "embed",
                "norm",
                "attention",
                "edit",
                "direction",
                "edge_read",
                "top_k",
                "gather_rows",
                "concat_positions",
                "concat_channels",
                "slice_channels",
                "latent_statistics",
                "clip",
                "clip_grad",
                "add_bias",
                "add_bias_grad",
                "add_alibi",
                "add_alibi_grad",
                "soft_cap",
                "soft_cap_grad",
                "columns",
                "mix",
                "mix_transposed",
                "attention_grad",
                "linear_grad_weight",
                "head_linear_grad_weight",
                "column_sum",
                "embed_grad",
                "scatter_rows",
                "cross_entropy_grad",
                "edge_read_grad",
                "norm_grad",
                "outer",
                "pair_dots",
                "repeat",
                "pos",
            ];
            *text = names[random.below(names.len())].to_string();
        }
        other => *other = junk(random),
    }
}

#[test]
fn whatever_is_done_to_a_program_it_is_refused_or_runs() {
    let weights = weights();
    let store = store(Isa::Portable, &weights);
    let mut random = Random(77);
    let (mut parsed, mut bound, mut ran) = (0, 0, 0);
    for round in 0..20_000 {
        let mut json = if round % 3 == 0 { doublings(4, 2) } else { model() };
        for _ in 0..1 + random.below(3) {
            mutate(&mut json, &mut random);
        }
        let mut text = json.to_string().into_bytes();
        if round % 7 == 0 {
            let at = random.below(text.len());
            text[at] = random.bits() as u8;
        }
        let Ok(program) = Program::parse(&String::from_utf8_lossy(&text)) else { continue };
        parsed += 1;
        let limits = Limits { threads: 1, memory_bytes: Some(1 << 20) };
        let Ok(mut call) =
            Call::bind(&Arc::new(program), &store, &sizes(&[("rows", 2), ("pos", 3), ("n", 5), ("x", 1)]), limits)
        else {
            continue;
        };
        bound += 1;
        let names: Vec<String> = call.input_names().map(str::to_owned).collect();
        for name in names {
            match call.input_mut(&name).unwrap() {
                EntriesMut::F32(x) => x.fill(0.5),
                EntriesMut::I32(x) => x.fill(1),
                EntriesMut::F64(x) => x.fill(0.5),
            }
        }
        match call.execute(&Run::default()) {
            Ok(()) => ran += 1,
            Err(ExecError { code, message }) => assert!(code != Code::Panic, "{message}\n{json}"),
        }
    }
    println!("{parsed} parsed, {bound} bound, {ran} ran");
    assert!(parsed > 500 && ran > 300, "the mutations are too rough to test much: {parsed} {bound} {ran}");
}
