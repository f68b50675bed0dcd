//! A compiled plan: steps over values that share slots. Parsed from JSON and checked whole, so that running one needs no
//! trust in who wrote it.

use serde_json::{Map, Value as Json};

use super::attrs::whole;
use super::error::{Code, ExecError};
use super::kernel::{Dtype, Kernel, Port, Role};

/// A size: known now, or the index of a symbol that each call binds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dim {
    Fixed(usize),
    Symbol(usize),
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) struct ValueSpec {
    pub shape: Vec<Dim>,
    pub dtype: Dtype,
    pub slot: usize,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Step {
    pub kernel: Kernel,
    /// Indices into the values; as long as the kernel's ports, repeated ones written out.
    pub inputs: Vec<Option<usize>>,
    pub outputs: Vec<Option<usize>>,
    /// Indices into the names of params.
    pub params: Vec<Option<usize>>,
}

/// A value that enters or leaves a call under a name.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Named {
    pub name: String,
    pub value: usize,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Program {
    pub(crate) symbols: Vec<String>,
    pub(crate) values: Vec<ValueSpec>,
    pub(crate) slots: usize,
    pub(crate) inputs: Vec<Named>,
    pub(crate) params: Vec<String>,
    pub(crate) steps: Vec<Step>,
    pub(crate) outputs: Vec<Named>,
}

/// More dimensions than this help nobody and cost every check.
const MAX_RANK: usize = 8;
const MAX_SYMBOLS: usize = 256;

fn bad<T>(message: impl Into<String>) -> Result<T, ExecError> {
    Err(ExecError::new(Code::BadProgram, message.into()))
}

impl Program {
    pub fn parse(json: &str) -> Result<Program, ExecError> {
        let json: Json = match serde_json::from_str(json) {
            Ok(json) => json,
            Err(error) => return bad(format!("The program is not JSON: {error}.")),
        };
        let Some(root) = json.as_object() else { return bad("The program is not a JSON object.") };
        if root.get("version").and_then(whole) != Some(1) {
            return bad("The program's version is not 1; it was compiled for another release.");
        }
        let mut symbols = Vec::new();
        let values = list(root, "values")?
            .iter()
            .enumerate()
            .map(|(at, value)| parse_value(value, &mut symbols).ok_or(at))
            .collect::<Result<Vec<_>, usize>>()
            .or_else(|at| {
                bad(format!(
                    "values[{at}] is not a shape of at most {MAX_RANK} sizes, a dtype f32, i32 or f64, and a slot."
                ))
            })?;
        let params = list(root, "params")?
            .iter()
            .map(|name| name.as_str().map(str::to_owned))
            .collect::<Option<Vec<_>>>()
            .map_or_else(|| bad("params is not a list of names."), Ok)?;
        let slots = root.get("slots").and_then(whole).map_or_else(|| bad("slots is not a whole number."), Ok)?;
        if slots > values.len() {
            return bad(format!("The program has {slots} slots for {} values.", values.len()));
        }
        if let Some((at, value)) = values.iter().enumerate().find(|(_, value)| value.slot >= slots) {
            return bad(format!("values[{at}] lies in slot {}, but there are {slots}.", value.slot));
        }
        let named = |what| parse_named(list(root, what)?, what, values.len());
        let (inputs, outputs) = (named("inputs")?, named("outputs")?);
        let mut steps = Vec::new();
        for (at, step) in list(root, "steps")?.iter().enumerate() {
            let step = parse_step(step, &values, params.len(), &mut symbols);
            steps.push(step.or_else(|message| bad(format!("steps[{at}]: {message}.")))?);
        }
        let program = Program { symbols, values, slots, inputs, params, steps, outputs };
        program.check_slots()?;
        Ok(program)
    }

    /// How many steps a whole run makes.
    pub fn step_count(&self) -> usize {
        self.steps.len()
    }

    /// Follows each slot through the steps: what is read must be there, and nothing may be written over while it is read.
    fn check_slots(&self) -> Result<(), ExecError> {
        let mut holds: Vec<Option<usize>> = vec![None; self.slots];
        let mut written = vec![false; self.values.len()];
        let mut write = |holds: &mut Vec<Option<usize>>, value: usize| -> Result<(), String> {
            if std::mem::replace(&mut written[value], true) {
                return Err(format!("value {value} is written twice"));
            }
            holds[self.values[value].slot] = Some(value);
            Ok(())
        };
        for input in &self.inputs {
            if holds[self.values[input.value].slot].is_some() {
                return bad(format!("The input {} lies in the slot of another input.", input.name));
            }
            write(&mut holds, input.value).or_else(|message| bad(format!("Of the inputs, {message}.")))?;
        }
        for (at, step) in self.steps.iter().enumerate() {
            for &value in step.inputs.iter().flatten() {
                if holds[self.values[value].slot] != Some(value) {
                    return bad(format!("steps[{at}] reads value {value}, which is not in its slot then."));
                }
            }
            let slot = |value: &usize| self.values[*value].slot;
            let outputs: Vec<usize> = step.outputs.iter().flatten().map(slot).collect();
            let shared = outputs.iter().enumerate().any(|(index, slot)| outputs[..index].contains(slot));
            if shared || step.inputs.iter().flatten().any(|value| outputs.contains(&slot(value))) {
                return bad(format!("steps[{at}] writes a slot that it also reads or writes a second time."));
            }
            for &value in step.outputs.iter().flatten() {
                write(&mut holds, value).or_else(|message| bad(format!("steps[{at}]: {message}.")))?;
            }
        }
        for output in &self.outputs {
            if holds[self.values[output.value].slot] != Some(output.value) {
                return bad(format!("The output {} is not in its slot at the end.", output.name));
            }
        }
        Ok(())
    }
}

fn list<'a>(root: &'a Map<String, Json>, name: &str) -> Result<&'a [Json], ExecError> {
    match root.get(name).and_then(Json::as_array) {
        Some(list) => Ok(list),
        None => bad(format!("{name} is not a list.")),
    }
}

fn parse_dim(value: &Json, symbols: &mut Vec<String>) -> Option<Dim> {
    let Some(name) = value.as_str() else { return whole(value).map(Dim::Fixed) };
    if let Some(known) = symbols.iter().position(|symbol| symbol == name) {
        return Some(Dim::Symbol(known));
    }
    if symbols.len() >= MAX_SYMBOLS {
        return None;
    }
    symbols.push(name.to_owned());
    Some(Dim::Symbol(symbols.len() - 1))
}

fn parse_value(value: &Json, symbols: &mut Vec<String>) -> Option<ValueSpec> {
    let shape = value.get("shape")?.as_array()?;
    if shape.len() > MAX_RANK {
        return None;
    }
    let shape = shape.iter().map(|dim| parse_dim(dim, symbols)).collect::<Option<Vec<_>>>()?;
    let dtype = match value.get("dtype")?.as_str()? {
        "f32" => Dtype::F32,
        "i32" => Dtype::I32,
        "f64" => Dtype::F64,
        _ => return None,
    };
    Some(ValueSpec { shape, dtype, slot: value.get("slot").and_then(whole)? })
}

fn parse_named(entries: &[Json], what: &str, values: usize) -> Result<Vec<Named>, ExecError> {
    let mut all: Vec<Named> = Vec::new();
    let mut names = std::collections::HashSet::new();
    for (at, entry) in entries.iter().enumerate() {
        let name = entry.get("name").and_then(Json::as_str);
        let value = entry.get("value").and_then(whole).filter(|&value| value < values);
        let (Some(name), Some(value)) = (name, value) else {
            return bad(format!("{what}[{at}] is not a name and the index of one of the {values} values."));
        };
        if !names.insert(name) {
            return bad(format!("{what} has the name {name} twice."));
        }
        all.push(Named { name: name.to_owned(), value });
    }
    Ok(all)
}

/// −1 is a place left empty.
fn parse_indices(step: &Json, name: &str, limit: usize) -> Result<Vec<Option<usize>>, String> {
    let entries = step.get(name).and_then(Json::as_array).ok_or_else(|| format!("{name} is not a list"))?;
    entries
        .iter()
        .map(|entry| match (entry.as_f64(), whole(entry)) {
            (Some(-1.0), _) => Ok(None),
            (_, Some(index)) if index < limit => Ok(Some(index)),
            _ => Err(format!("{name} has an entry outside -1 … {}", limit as i128 - 1)),
        })
        .collect()
}

fn parse_step(step: &Json, values: &[ValueSpec], params: usize, symbols: &mut Vec<String>) -> Result<Step, String> {
    let name = step.get("kernel").and_then(Json::as_str).ok_or("kernel is not a name")?;
    let attrs = step.get("attrs").and_then(Json::as_object).ok_or("attrs is not an object")?;
    let kernel = Kernel::parse(name, attrs, &mut |dim| parse_dim(dim, symbols))?;
    let ports = kernel.ports();
    let inputs = fit_ports("in", parse_indices(step, "in", values.len())?, ports.inputs, values)?;
    let outputs = fit_ports("out", parse_indices(step, "out", values.len())?, ports.outputs, values)?;
    let mut given = parse_indices(step, "params", params)?;
    if given.len() > ports.params.len() {
        return Err(format!("{name} takes {} params, not {}", ports.params.len(), given.len()));
    }
    given.resize(ports.params.len(), None);
    for (at, (param, role)) in given.iter().zip(ports.params).enumerate() {
        if param.is_none() && *role != Role::MaybeVector {
            return Err(format!("{name} needs its param {at}"));
        }
    }
    Ok(Step { kernel, inputs, outputs, params: given })
}

/// Gives each port its value, and checks that it is there and of the right type.
fn fit_ports(
    what: &str,
    mut given: Vec<Option<usize>>,
    ports: &[Port],
    values: &[ValueSpec],
) -> Result<Vec<Option<usize>>, String> {
    let repeats = given.len().saturating_sub(ports.len() - 1);
    let mut fitted = Vec::with_capacity(given.len());
    let many = ports.iter().any(|port| matches!(port, Port::Many(_)));
    let required = ports.iter().filter(|port| matches!(port, Port::One(_))).count();
    let wrong = || format!("{what} has {} entries, which do not fit the kernel", given.len());
    if given.len() < required || !many && given.len() > ports.len() {
        return Err(wrong());
    }
    for port in ports {
        match port {
            Port::One(dtype) => fitted.push((*dtype, true)),
            Port::Maybe(dtype) => fitted.push((*dtype, false)),
            Port::Many(least) if repeats < *least => return Err(wrong()),
            Port::Many(_) => fitted.extend(std::iter::repeat_n((Dtype::F32, true), repeats)),
        }
    }
    given.resize(fitted.len(), None);
    for (at, (value, (dtype, required))) in given.iter().zip(fitted).enumerate() {
        match value {
            None if required => return Err(format!("{what}[{at}] is left out, but the kernel needs it")),
            Some(value) if values[*value].dtype != dtype => {
                return Err(format!("{what}[{at}] is value {value}, which is not {dtype:?}"));
            }
            _ => {}
        }
    }
    Ok(given)
}
