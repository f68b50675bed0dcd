mod support;

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use circuitscope_kernels::exec::{Call, Code, Entries, EntriesMut, Limits, Mapping, Program, Run, Store};
use circuitscope_kernels::half::{Bf16, Dtype, F16};
use circuitscope_kernels::isa::Isa;
use serde_json::json;
use support::*;

/// A file of its own for each test, gone when the test is.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, bytes: &[u8]) -> Scratch {
        let path = std::env::temp_dir().join(format!("circuitscope-{}-{name}", std::process::id()));
        fs::write(&path, bytes).unwrap();
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Multiplies, or looks up, one matrix named w.
fn use_matrix(
    store: &Store,
    kernel: &str,
    attrs: serde_json::Value,
    input: &[f32],
    ids: &[i32],
    out: [usize; 2],
) -> Vec<f32> {
    let lookup = kernel == "embed";
    let shape = if lookup { json!([ids.len()]) } else { json!([out[0], input.len() / out[0]]) };
    let json = json!({
        "version": 1,
        "values": [
            { "shape": shape, "dtype": if lookup { "i32" } else { "f32" }, "slot": 0 },
            { "shape": out, "dtype": "f32", "slot": 1 },
        ],
        "slots": 2,
        "inputs": [{ "name": "x", "value": 0 }],
        "params": ["w"],
        "steps": [{ "kernel": kernel, "in": [0], "out": [1], "params": [0], "attrs": attrs }],
        "outputs": [{ "name": "y", "value": 1 }],
    });
    let program = Arc::new(Program::parse(&json.to_string()).unwrap());
    let mut call = Call::bind(&program, store, &HashMap::new(), Limits { threads: 2, memory_bytes: None }).unwrap();
    match call.input_mut("x").unwrap() {
        EntriesMut::F32(x) => x.copy_from_slice(input),
        EntriesMut::I32(x) => x.copy_from_slice(ids),
        EntriesMut::F64(_) => unreachable!("the program says f32 or i32"),
    }
    call.execute(&Run::default()).unwrap();
    match call.output("y").unwrap() {
        Entries::F32(y) => y.to_vec(),
        _ => unreachable!("the program says f32"),
    }
}

#[test]
fn every_type_at_every_alignment_multiplies_and_embeds_as_its_widened_values() {
    let mut random = Random(1);
    let (k, n) = (37, 53);
    let x = random.floats(3 * k);
    for dtype in [Dtype::F32, Dtype::Bf16, Dtype::F16] {
        let raw: Vec<Vec<u8>> = (0..k * n)
            .map(|_| match dtype {
                Dtype::F32 => random.float().to_le_bytes().to_vec(),
                // Exponents near 1 in either type.
                _ => ((random.bits() as u16 & 0x83ff) | 0x3800).to_le_bytes().to_vec(),
            })
            .collect();
        let wide: Vec<f32> = raw
            .iter()
            .map(|bytes| match dtype {
                Dtype::F32 => f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
                Dtype::Bf16 => Bf16(u16::from_le_bytes([bytes[0], bytes[1]])).to_f32(),
                Dtype::F16 => F16(u16::from_le_bytes([bytes[0], bytes[1]])).to_f32(),
            })
            .collect();
        let wish = naive([3, k, n], &x, &wide, None);
        for before in [0, 1, 3] {
            let file = Scratch::new(&format!("{dtype:?}-{before}"), &[vec![7; before], raw.concat()].concat());
            for isa in Isa::available() {
                let store = Store::new(isa);
                let mapped = store.map_file(&file.0, (before + k * n * dtype.bytes()) as u64).unwrap();
                let mapping = Mapping { file: mapped, byte_offset: before, dtype, offset: 0 };
                store.define_mapped("w", mapping, &[k, n], &[n, 1]).unwrap();
                let row = |store: &Store| use_matrix(store, "embed", json!({}), &[], &[36, 0], [2, n]);
                let column =
                    |store: &Store| use_matrix(store, "embed", json!({ "transposed": true }), &[], &[52, 9], [2, k]);
                let from_file = (row(&store), column(&store));
                assert!(same_bits(&from_file.0, &[&wide[36 * n..], &wide[..n]].concat()));
                assert!(
                    from_file
                        .1
                        .iter()
                        .enumerate()
                        .all(|(at, y)| y.to_bits() == wide[at % k * n + [52, 9][at / k]].to_bits())
                );
                assert!(
                    same_bits(&use_matrix(&store, "linear", json!({}), &x, &[], [3, n]), &wish),
                    "{dtype:?} {isa:?}"
                );
                assert_eq!((row(&store), column(&store)), from_file, "packing changes no bit of a row");
                let bytes = store.bytes();
                assert!(bytes.owned == 0 && bytes.packed as usize >= k * n * dtype.bytes());
            }
        }
    }
}

#[test]
fn a_matrix_may_lie_in_its_file_with_any_strides() {
    let mut random = Random(2);
    // [k, 3n] holds queries, keys and values side by side; w is the keys. Then w transposed.
    let (k, n) = (9, 14);
    let fused = random.floats(k * 3 * n);
    let x = random.floats(k);
    let file = Scratch::new("fused", &bytes(&fused));
    let keys: Vec<f32> = (0..k * n).map(|at| fused[at / n * 3 * n + n + at % n]).collect();
    let store = Store::new(Isa::Portable);
    let mapped = store.map_file(&file.0, (fused.len() * 4) as u64).unwrap();
    let part = Mapping { file: mapped, byte_offset: 0, dtype: Dtype::F32, offset: n };
    store.define_mapped("w", part, &[k, n], &[3 * n, 1]).unwrap();
    assert!(same_bits(&use_matrix(&store, "linear", json!({}), &x, &[], [1, n]), &naive([1, k, n], &x, &keys, None)));
    store.define_mapped("w", part, &[n, k], &[1, 3 * n]).unwrap();
    let transposed: Vec<f32> = (0..n * k).map(|at| keys[at % k * n + at / k]).collect();
    let x = random.floats(n);
    assert!(same_bits(
        &use_matrix(&store, "linear", json!({}), &x, &[], [1, k]),
        &naive([1, n, k], &x, &transposed, None)
    ));
}

#[test]
fn a_matrix_is_multiplied_with_from_either_side_and_both_panels_have_the_same_elements() {
    let mut random = Random(3);
    for (k, n) in [(37, 53), (64, 64), (1, 70), (33, 1)] {
        let (x, y) = (random.floats(3 * k), random.floats(3 * n));
        for dtype in [Dtype::F32, Dtype::Bf16] {
            let bits: Vec<u16> = (0..k * n).map(|_| (random.bits() as u16 & 0x83ff) | 0x3800).collect();
            let w: Vec<f32> = bits.iter().map(|&bits| Bf16(bits).to_f32()).collect();
            let raw = match dtype {
                Dtype::F32 => bytes(&w),
                _ => bits.iter().flat_map(|bits| bits.to_le_bytes()).collect(),
            };
            let file = Scratch::new(&format!("sides-{k}-{dtype:?}"), &raw);
            let transposed: Vec<f32> = (0..n * k).map(|at| w[at % k * n + at / k]).collect();
            let wish = [naive([3, k, n], &x, &w, None), naive([3, n, k], &y, &transposed, None)];
            for isa in Isa::available() {
                // Mapped or owned, whichever side comes first.
                for (owned, first) in [(false, 0), (false, 1), (true, 0), (true, 1)] {
                    let store = Store::new(isa);
                    if owned {
                        store.define_owned("w", w.clone(), &[k, n], &[n, 1]).unwrap();
                    } else {
                        let mapped = store.map_file(&file.0, raw.len() as u64).unwrap();
                        let mapping = Mapping { file: mapped, byte_offset: 0, dtype, offset: 0 };
                        store.define_mapped("w", mapping, &[k, n], &[n, 1]).unwrap();
                    }
                    for side in [first, 1 - first] {
                        let got = match side {
                            0 => use_matrix(&store, "linear", json!({}), &x, &[], [3, n]),
                            _ => use_matrix(&store, "linear", json!({ "transposed": true }), &y, &[], [3, k]),
                        };
                        assert!(same_bits(&got, &wish[side]), "{k} {n} {dtype:?} {isa:?} {owned} {first} {side}");
                        let last = [(k - 1) as i32, 0];
                        let rows = use_matrix(&store, "embed", json!({}), &[], &last, [2, n]);
                        assert!(same_bits(&rows, &[&w[(k - 1) * n..], &w[..n]].concat()));
                        let last = [(n - 1) as i32, 0];
                        let columns = use_matrix(&store, "embed", json!({ "transposed": true }), &[], &last, [2, k]);
                        assert!(same_bits(&columns, &[&transposed[(n - 1) * k..], &transposed[..k]].concat()));
                    }
                    assert_eq!(store.bytes().owned, 0, "the panels are all there is");
                }
            }
        }
    }
}

#[test]
fn a_weight_that_is_defined_again_and_again_keeps_its_memory_and_calls_keep_what_they_began_with() {
    let mut random = Random(4);
    let (k, n) = (70, 45);
    let (x, y) = (random.floats(2 * k), random.floats(2 * n));
    for isa in Isa::available() {
        let store = Store::new(isa);
        let first = random.floats(k * n);
        assert!(!store.can_redefine("w", &[k, n], &[n, 1]));
        store.define_owned("w", first.clone(), &[k, n], &[n, 1]).unwrap();
        assert!(store.can_redefine("w", &[k, n], &[n, 1]));
        assert!(!store.can_redefine("w", &[k, n], &[1, k]) && !store.can_redefine("w", &[n, k], &[k, 1]));
        let mut packed = 0;
        // Used as a table alone, from one side, from the other, from both.
        for (step, sides) in [&[][..], &[0], &[0], &[1], &[0, 1], &[1, 0], &[], &[0, 1]].into_iter().enumerate() {
            let w = random.floats(k * n);
            let transposed: Vec<f32> = (0..n * k).map(|at| w[at % k * n + at / k]).collect();
            store.redefine("w", &w, &[k, n]).unwrap();
            assert!(store.bytes().packed >= packed, "panels are kept");
            let row = use_matrix(&store, "embed", json!({}), &[], &[3], [1, n]);
            assert!(same_bits(&row, &w[3 * n..4 * n]));
            for side in sides {
                let (got, wish) = match side {
                    0 => (use_matrix(&store, "linear", json!({}), &x, &[], [2, n]), naive([2, k, n], &x, &w, None)),
                    _ => (
                        use_matrix(&store, "linear", json!({ "transposed": true }), &y, &[], [2, k]),
                        naive([2, n, k], &y, &transposed, None),
                    ),
                };
                assert!(same_bits(&got, &wish), "{isa:?} step {step}, side {side}");
            }
            packed = store.bytes().packed;
        }
        // Both panels, and nothing else.
        let nr = if isa == Isa::Avx512 { 32 } else { 16 };
        let both = 4 * (n.next_multiple_of(nr) * k + k.next_multiple_of(nr) * n);
        assert!(packed as usize - both < 128, "{packed} {both}");
        assert_eq!(store.bytes().owned, 0);

        // A call that was bound before keeps the weight of then.
        let json = json!({
            "version": 1,
            "values": [
                { "shape": [2, k], "dtype": "f32", "slot": 0 },
                { "shape": [2, n], "dtype": "f32", "slot": 1 },
            ],
            "slots": 2,
            "inputs": [{ "name": "x", "value": 0 }],
            "params": ["w"],
            "steps": [{ "kernel": "linear", "in": [0], "out": [1], "params": [0], "attrs": {} }],
            "outputs": [{ "name": "y", "value": 1 }],
        });
        store.redefine("w", &first, &[k, n]).unwrap();
        let program = Arc::new(Program::parse(&json.to_string()).unwrap());
        let mut call =
            Call::bind(&program, &store, &HashMap::new(), Limits { threads: 1, memory_bytes: None }).unwrap();
        if let Some(EntriesMut::F32(to)) = call.input_mut("x") {
            to.copy_from_slice(&x);
        }
        let later = random.floats(k * n);
        store.redefine("w", &later, &[k, n]).unwrap();
        call.execute(&Run::default()).unwrap();
        let Some(Entries::F32(got)) = call.output("y") else { panic!("no output") };
        assert!(same_bits(got, &naive([2, k, n], &x, &first, None)));
        let got = use_matrix(&store, "linear", json!({}), &x, &[], [2, n]);
        assert!(same_bits(&got, &naive([2, k, n], &x, &later, None)));
        assert_eq!(store.redefine("w", &later[1..], &[k, n]).map_err(|error| error.code), Err(Code::BadParam));
    }
}

#[test]
fn files_and_definitions_that_cannot_be_true_are_refused() {
    let store = Store::new(Isa::Portable);
    let file = Scratch::new("short", &[0; 400]);
    let code = |result: Result<usize, circuitscope_kernels::exec::ExecError>| result.map_err(|error| error.code);
    assert_eq!(code(store.map_file(&file.0, 401)), Err(Code::BadFile));
    assert_eq!(code(store.map_file(&file.0, 399)), Err(Code::BadFile));
    assert_eq!(code(store.map_file(&std::env::temp_dir(), 0)), Err(Code::BadFile));
    assert_eq!(code(store.map_file(&file.0.with_extension("none"), 0)), Err(Code::BadFile));
    let mapped = store.map_file(&file.0, 400).unwrap();

    let define = |byte_offset, offset, shape: &[usize], strides: &[usize]| {
        let mapping = Mapping { file: mapped, byte_offset, dtype: Dtype::F32, offset };
        store.define_mapped("w", mapping, shape, strides).map_err(|error| error.code)
    };
    assert_eq!(define(0, 0, &[10, 10], &[10, 1]), Ok(()));
    assert_eq!(define(0, 0, &[0, usize::MAX], &[1, 1]), Ok(()), "a weight without elements reads nothing");
    for (byte_offset, offset, shape, strides) in [
        (1, 0, &[10usize, 10][..], &[10usize, 1][..]),
        (0, 1, &[10, 10], &[10, 1]),
        (401, 0, &[1], &[1]),
        (usize::MAX, 0, &[1], &[1]),
        (0, usize::MAX, &[1], &[1]),
        (0, 0, &[101], &[1]),
        (0, 0, &[10, 11], &[10, 1]),
        (0, 0, &[usize::MAX, usize::MAX], &[1, 1]),
        (0, 0, &[2, 2], &[usize::MAX, 1]),
        // One number read a million times would be a weight larger than its file.
        (0, 0, &[1_000_000], &[0]),
        (0, 0, &[10, 10], &[10]),
        (0, 0, &[], &[]),
        (0, 0, &[1; 9], &[1; 9]),
    ] {
        assert_eq!(
            define(byte_offset, offset, shape, strides),
            Err(Code::BadParam),
            "{byte_offset} {offset} {shape:?} {strides:?}"
        );
    }
    let nowhere = Mapping { file: 7, byte_offset: 0, dtype: Dtype::F32, offset: 0 };
    assert_eq!(store.define_mapped("w", nowhere, &[1], &[1]).map_err(|error| error.code), Err(Code::BadFile));
    assert_eq!(
        store.define_owned("w", vec![0.0; 3], &[2, 2], &[2, 1]).map_err(|error| error.code),
        Err(Code::BadParam)
    );
}

/// Resident kilobytes of one mapped file.
#[cfg(target_os = "linux")]
fn resident(path: &std::path::Path) -> Option<usize> {
    let maps = fs::read_to_string("/proc/self/smaps").ok()?;
    let mut lines = maps.lines().skip_while(|line| !line.ends_with(path.to_str().unwrap_or("?")));
    lines.find_map(|line| line.strip_prefix("Rss:"))?.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(target_os = "linux")]
#[test]
fn a_packed_matrix_gives_its_pages_back() {
    let (k, n) = (1024, 2048);
    let file = Scratch::new("pages", &vec![0; k * n * 2]);
    let store = Store::new(*Isa::available().last().unwrap());
    let mapped = store.map_file(&file.0, (k * n * 2) as u64).unwrap();
    store
        .define_mapped("w", Mapping { file: mapped, byte_offset: 0, dtype: Dtype::Bf16, offset: 0 }, &[k, n], &[n, 1])
        .unwrap();
    use_matrix(&store, "linear", json!({}), &vec![1.0; k], &[], [1, n]);
    let left = resident(&file.0).unwrap();
    assert!(left <= 64, "{left} kB of 4096 are still there");
    let bytes = store.bytes();
    assert!(bytes.packed as f64 <= 1.1 * (k * n * 2) as f64, "{bytes:?}");
}

#[test]
fn a_folded_matrix_has_the_bits_of_one_that_was_computed_whole() {
    let mut random = Random(8);
    for [k, n] in [[300, 700], [1, 5], [9, 1], [17, 1030]] {
        let (w, gain) = (random.floats(k * n), random.floats(k));
        let turned: Vec<f32> = (0..k * n).map(|at| w[at % k * n + at / k]).collect();
        let mut unit = vec![0.0; k * k];
        (0..k).for_each(|at| unit[at * k + at] = 1.0);
        let ids: Vec<i32> = (0..k as i32).collect();
        for flags in 0..8 {
            let [gained, columns, rows] = [1, 2, 4].map(|flag| flags & flag != 0);
            let mut wish: Vec<f64> =
                (0..k * n).map(|at| f64::from(w[at]) * if gained { f64::from(gain[at / n]) } else { 1.0 }).collect();
            if columns {
                for column in 0..n {
                    let mean = (0..k).fold(0.0, |sum, row| sum + wish[row * n + column]) / k as f64;
                    (0..k).for_each(|row| wish[row * n + column] -= mean);
                }
            }
            if rows {
                for row in wish.chunks_mut(n) {
                    let mean = row.iter().fold(0.0, |sum, value| sum + value) / n as f64;
                    row.iter_mut().for_each(|value| *value -= mean);
                }
            }
            let wish: Vec<f32> = wish.into_iter().map(|value| value as f32).collect();
            for (data, strides) in [(&w, [n, 1]), (&turned, [1, k])] {
                let store = Store::new(*Isa::available().last().unwrap());
                store.define_owned("s", data.clone(), &[k, n], &strides).unwrap();
                store.define_owned("g", gain.clone(), &[k], &[1]).unwrap();
                let recipe = json!({
                    "kind": "matrix", "from": "s", "gain": if gained { json!("g") } else { json!(null) },
                    "centreColumns": columns, "centreRows": rows,
                });
                store.define_folded("w", &[k, n], &recipe.to_string()).unwrap();
                // As a table before it is packed, as a product, and as a table of panels.
                let table = || use_matrix(&store, "embed", json!({}), &[], &ids, [k, n]);
                let zero_is_zero = |got: &[f32]| got.iter().zip(&wish).all(|(got, wish)| got == wish);
                assert!(same_bits(&table(), &wish), "[{k}, {n}] {recipe} {strides:?}");
                assert!(zero_is_zero(&use_matrix(&store, "linear", json!({}), &unit, &[], [k, n])));
                assert!(same_bits(&table(), &wish));
                assert!(store.bytes().packed as usize / 4 / k >= n);
            }
        }
    }
}

#[test]
fn a_recipe_that_does_not_fit_its_weights_is_refused() {
    let store = Store::new(Isa::Portable);
    store.define_owned("s", vec![1.0; 6], &[2, 3], &[3, 1]).unwrap();
    store.define_owned("g", vec![1.0; 2], &[2], &[1]).unwrap();
    let matrix = json!({ "kind": "matrix", "from": "s", "gain": "g", "centreColumns": true, "centreRows": false });
    store.define_folded("w", &[2, 3], &matrix.to_string()).unwrap();
    let bias = json!({ "kind": "bias", "from": null, "shift": { "vector": "g", "matrix": "s" }, "values": null, "centre": true });
    store.define_folded("b", &[3], &bias.to_string()).unwrap();
    let refused = |shape: &[usize], recipe: serde_json::Value| {
        let refused = store.define_folded("x", shape, &recipe.to_string()).map_err(|error| error.code);
        assert_eq!(refused, Err(Code::BadParam), "{recipe}");
    };
    let with = |json: &serde_json::Value, key: &str, value: serde_json::Value| {
        let mut json = json.clone();
        json[key] = value;
        json
    };
    refused(&[3, 2], matrix.clone());
    refused(&[6], matrix.clone());
    refused(&[2, 3], bias.clone());
    refused(&[2], bias.clone());
    refused(&[2, 3], json!(7));
    for (key, value) in [
        ("from", json!("none")),
        ("from", json!("w")),
        ("from", json!("g")),
        ("gain", json!("s")),
        ("gain", json!(1)),
        ("centreRows", json!(null)),
        ("kind", json!("other")),
    ] {
        refused(&[2, 3], with(&matrix, key, value));
    }
    let values = |bias: serde_json::Value, heads: u64, kv: u64| json!({ "bias": bias, "matrix": "s", "heads": heads, "kvHeads": kv });
    let own = json!({ "kind": "bias", "from": "g", "shift": null, "values": null, "centre": false });
    store.define_folded("b", &[3], &with(&bias, "values", values(own.clone(), 2, 2)).to_string()).unwrap();
    for (heads, kv) in [(0, 0), (2, 0), (0, 2), (1, 2), (4, 4), (3, 1)] {
        refused(&[3], with(&bias, "values", values(own.clone(), heads, kv)));
    }
    refused(&[1 << 50], with(&bias, "shift", json!(null)));
    let inside = with(&own, "values", values(own.clone(), 2, 2));
    refused(&[3], with(&bias, "values", values(with(&own, "values", values(inside, 2, 2)), 2, 2)));
}
