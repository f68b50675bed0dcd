use circuitscope_kernels::exec::{Code, Program};
use serde_json::{Value as Json, json};

/// x → softmax → y.
fn good() -> Json {
    json!({
        "version": 1,
        "values": [{ "shape": ["n", 4], "dtype": "f32", "slot": 0 }, { "shape": ["n", 4], "dtype": "f32", "slot": 1 }],
        "slots": 2,
        "inputs": [{ "name": "x", "value": 0 }],
        "params": ["w"],
        "steps": [{ "kernel": "softmax", "in": [0], "out": [1], "params": [], "attrs": {} }],
        "outputs": [{ "name": "y", "value": 1 }],
    })
}

fn with(pointer: &str, replacement: Json) -> Json {
    let mut json = good();
    *json.pointer_mut(pointer).unwrap() = replacement;
    json
}

fn step(kernel: &str, inputs: Json, outputs: Json, params: Json, attrs: Json) -> Json {
    with("/steps/0", json!({ "kernel": kernel, "in": inputs, "out": outputs, "params": params, "attrs": attrs }))
}

#[test]
fn a_good_program_parses_and_says_how_long_it_is() {
    assert_eq!(Program::parse(&good().to_string()).unwrap().step_count(), 1);
    // Left-out trailing places count as −1, and whole numbers may be written as 1.0.
    let affine = step("affine", json!([0.0]), json!([1]), json!([]), json!({}));
    assert!(Program::parse(&affine.to_string()).is_ok());
}

#[test]
fn hostile_programs_are_refused_with_a_sentence() {
    let dims = json!(["n", 2, 2]);
    let hostile = [
        ("no version", with("/version", json!(null))),
        ("another version", with("/version", json!(2))),
        ("values are no list", with("/values", json!({}))),
        ("a slot that is not there", with("/values/0/slot", json!(2))),
        ("a negative slot", with("/values/0/slot", json!(-1))),
        ("half a slot", with("/values/0/slot", json!(0.5))),
        ("more slots than values", with("/slots", json!(1e15))),
        ("a dtype of elsewhere", with("/values/0/dtype", json!("f64"))),
        ("a negative size", with("/values/0/shape/1", json!(-4))),
        ("a fractional size", with("/values/0/shape/1", json!(1.5))),
        ("a size beyond doubles", with("/values/0/shape/1", json!(1e300))),
        ("a size that is a list", with("/values/0/shape/1", json!([4]))),
        ("nine dimensions", with("/values/0/shape", json!([1, 1, 1, 1, 1, 1, 1, 1, 1]))),
        ("a kernel that is not there", step("solve", json!([0]), json!([1]), json!([]), json!({}))),
        ("a kernel that is a number", step("softmax", json!([0]), json!([1]), json!([]), json!(7))),
        ("too few inputs", step("mul", json!([0]), json!([1]), json!([]), json!({}))),
        ("too many inputs", step("softmax", json!([0, 0]), json!([1]), json!([]), json!({}))),
        ("an input left out", step("softmax", json!([-1]), json!([1]), json!([]), json!({}))),
        ("a sum of nothing", step("sum", json!([]), json!([1]), json!([]), json!({}))),
        ("a sum with a hole", step("sum", json!([0, -1]), json!([1]), json!([]), json!({}))),
        ("an edge read of nothing", step("edge_read", json!([]), json!([1]), json!([]), json!({ "heads": 0 }))),
        ("no output", step("softmax", json!([0]), json!([]), json!([]), json!({}))),
        ("an output left out", step("softmax", json!([0]), json!([-1]), json!([]), json!({}))),
        ("a value that is not there", step("softmax", json!([2]), json!([1]), json!([]), json!({}))),
        ("a value of minus two", step("softmax", json!([-2]), json!([1]), json!([]), json!({}))),
        ("a param that is not there", step("linear", json!([0]), json!([1]), json!([1]), json!({}))),
        ("a matrix left out", step("linear", json!([0]), json!([1]), json!([-1]), json!({}))),
        ("too many params", step("softmax", json!([0]), json!([1]), json!([0]), json!({}))),
        ("the wrong type", step("gather_rows", json!([0, 0]), json!([1]), json!([]), json!({}))),
        ("an attribute left out", step("norm_scale", json!([0]), json!([1]), json!([]), json!({ "kind": "layer" }))),
        (
            "an attribute of the wrong type",
            step("norm_scale", json!([0]), json!([1]), json!([]), json!({ "kind": "layer", "eps": "small" })),
        ),
        (
            "a number that is infinite in float32",
            step("norm_scale", json!([0]), json!([1]), json!([]), json!({ "kind": "rms", "eps": 1e200 })),
        ),
        ("a word of elsewhere", step("activation", json!([0]), json!([1]), json!([]), json!({ "fn": "swish" }))),
        ("a cap of nothing", step("soft_cap", json!([0]), json!([1]), json!([]), json!({ "cap": 0 }))),
        ("a cap below nothing", step("soft_cap_grad", json!([0, 0]), json!([1]), json!([]), json!({ "cap": -1 }))),
        (
            "half a window",
            step("scores", json!([0, 0]), json!([1]), json!([]), json!({ "scale": 1, "causal": true, "window": 0.5 })),
        ),
        ("a negative head", step("head_result", json!([0]), json!([1]), json!([0]), json!({ "head": -1 }))),
        (
            "two dims",
            step(
                "edit",
                json!([0]),
                json!([1]),
                json!([]),
                json!({ "op": "set", "dims": [1, 2], "valueShape": "none", "constant": 0 }),
            ),
        ),
        (
            "a value that is promised and missing",
            step("edit", json!([0]), json!([1]), json!([]), json!({ "op": "set", "dims": dims, "valueShape": "rows" })),
        ),
        (
            "a constant left out",
            step("edit", json!([0]), json!([1]), json!([]), json!({ "op": "set", "dims": dims, "valueShape": "none" })),
        ),
        ("a slot that is read and written", with("/values/1/slot", json!(0))),
        ("a value that is read before it is written", step("softmax", json!([1]), json!([0]), json!([]), json!({}))),
        ("a value that is written twice", with("/steps", json!([good()["steps"][0], good()["steps"][0]]))),
        ("an output that nothing computes", with("/steps", json!([]))),
        ("an output that is not there", with("/outputs/0/value", json!(9))),
        ("two inputs of one name", with("/inputs", json!([{ "name": "x", "value": 0 }, { "name": "x", "value": 1 }]))),
        ("two inputs of one value", with("/inputs", json!([{ "name": "x", "value": 0 }, { "name": "z", "value": 0 }]))),
        ("an input without a name", with("/inputs/0", json!({ "value": 0 }))),
        ("params that are numbers", with("/params", json!([1]))),
        ("steps that are no objects", with("/steps", json!([1, "a", null]))),
        (
            "too many symbols",
            with(
                "/values",
                json!(
                    (0..300)
                        .map(|at| json!({ "shape": [format!("s{at}")], "dtype": "f32", "slot": 0 }))
                        .collect::<Vec<_>>()
                ),
            ),
        ),
        ("a list", json!([])),
        ("null", json!(null)),
    ];
    for (what, json) in hostile {
        match Program::parse(&json.to_string()) {
            Ok(_) => panic!("{what} was taken"),
            Err(error) => {
                assert_eq!(error.code, Code::BadProgram, "{what}");
                assert!(error.message.ends_with('.') && error.message.len() < 400, "{what}: {}", error.message);
            }
        }
    }
}

#[test]
fn text_that_is_not_json_is_refused_however_deep() {
    for text in [
        "",
        "{",
        "\u{0}",
        "NaN",
        "{\"version\":1}",
        &"[".repeat(100_000),
        &format!("{{\"version\":{}}}", "9".repeat(5000)),
    ] {
        assert_eq!(Program::parse(text).map(|_| ()).map_err(|error| error.code), Err(Code::BadProgram));
    }
}

#[test]
fn values_that_share_a_slot_must_not_be_alive_together() {
    let value = |slot: usize| json!({ "shape": [4], "dtype": "f32", "slot": slot });
    let sum = |a: usize, b: usize, to: usize| json!({ "kernel": "sum", "in": [a, b], "out": [to], "params": [], "attrs": {} });
    let program = |values: Json, steps: Json| {
        json!({
            "version": 1, "values": values, "slots": 3, "params": [], "steps": steps,
            "inputs": [{ "name": "x", "value": 0 }], "outputs": [{ "name": "y", "value": 3 }],
        })
    };
    let steps = json!([sum(0, 0, 1), sum(1, 1, 2), sum(2, 0, 3)]);
    let apart = program(json!([value(0), value(1), value(2), value(1)]), steps.clone());
    assert!(Program::parse(&apart.to_string()).is_ok());
    // Value 2 takes the slot of value 0, which the last step still reads.
    let clash = program(json!([value(0), value(1), value(0), value(2)]), steps);
    let error = Program::parse(&clash.to_string()).unwrap_err();
    assert!(error.message.contains("steps[2]") && error.message.contains("value 0"), "{error}");
}
