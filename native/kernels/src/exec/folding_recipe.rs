//! What a folded weight is computed of, as the TypeScript side says it in JSON, checked against the weights that it names.

use std::sync::{Arc, OnceLock};

use serde_json::Value as Json;

use super::error::{Code, ExecError};
use super::folding::{FoldedBias, FoldedMatrix, FoldedValues, Folding};
use super::stored_lines::StoredLines;
use super::weight::Weight;

type Find<'a> = &'a dyn Fn(&str) -> Option<Arc<Weight>>;

/// `{"kind": "matrix", "from", "gain", "centreColumns", "centreRows"}` or
/// `{"kind": "bias", "from", "shift": {"vector", "matrix"}, "values": {"bias", "matrix", "heads", "kvHeads"}, "centre"}`, where a
/// part may be null and weights stand by their names.
pub(super) fn read_folding(name: &str, shape: &[usize], recipe: &str, find: Find<'_>) -> Result<Folding, ExecError> {
    let json: Json = serde_json::from_str(recipe).map_err(|error| bad(name, &format!("is no JSON: {error}")))?;
    let reader = Reader { name, find };
    match (json["kind"].as_str(), shape) {
        (Some("matrix"), &[k, n]) => reader.matrix(&json, [k, n]).map(Folding::Matrix),
        (Some("bias"), &[size]) => reader.bias(&json, size, 0).map(Folding::Bias),
        _ => Err(bad(name, "is neither of a matrix nor of a bias of its shape")),
    }
}

fn bad(name: &str, what: &str) -> ExecError {
    ExecError::new(Code::BadParam, format!("The recipe of {name} {what}."))
}

struct Reader<'a> {
    name: &'a str,
    find: Find<'a>,
}

impl Reader<'_> {
    fn matrix(&self, json: &Json, size: [usize; 2]) -> Result<FoldedMatrix, ExecError> {
        let source = self.stored(&json["from"])?;
        if [source.k, source.n] != size {
            return Err(bad(self.name, "has a matrix of another shape"));
        }
        Ok(FoldedMatrix {
            gain: self.maybe_vector(&json["gain"], source.k)?,
            source,
            centre_columns: self.flag(&json["centreColumns"])?,
            centre_rows: self.flag(&json["centreRows"])?,
            means: OnceLock::new(),
        })
    }

    fn bias(&self, json: &Json, size: usize, depth: usize) -> Result<FoldedBias, ExecError> {
        if depth > 1 {
            return Err(bad(self.name, "has biases inside of biases"));
        }
        let shift = match &json["shift"] {
            Json::Null => None,
            shift => {
                let matrix = self.stored(&shift["matrix"])?;
                let vector = self.vector(&shift["vector"], matrix.k)?;
                Some((vector, self.wide(matrix, size)?))
            }
        };
        let values = match &json["values"] {
            Json::Null => None,
            values => {
                let matrix = self.wide(self.stored(&values["matrix"])?, size)?;
                let (heads, kv_heads) = (self.count(&values["heads"])?, self.count(&values["kvHeads"])?);
                if heads % kv_heads != 0 || matrix.k % heads != 0 {
                    return Err(bad(self.name, "has heads that do not divide its rows"));
                }
                let bias = self.bias(&values["bias"], matrix.k / heads * kv_heads, depth + 1)?;
                Some(FoldedValues { bias: Box::new(bias), matrix, heads, kv_heads })
            }
        };
        let from = self.maybe_vector(&json["from"], size)?;
        if from.is_none() && shift.is_none() && values.is_none() {
            return Err(bad(self.name, "is of nothing, so nothing bounds its size"));
        }
        Ok(FoldedBias { size, from, shift, values, centre: self.flag(&json["centre"])? })
    }

    fn wide(&self, matrix: StoredLines, size: usize) -> Result<StoredLines, ExecError> {
        if matrix.n == size { Ok(matrix) } else { Err(bad(self.name, "has a matrix of another width")) }
    }

    fn weight(&self, name: &Json) -> Result<Arc<Weight>, ExecError> {
        let found = name.as_str().and_then(self.find);
        found.ok_or_else(|| bad(self.name, &format!("names {name}, which the store does not hold")))
    }

    fn stored(&self, name: &Json) -> Result<StoredLines, ExecError> {
        let lines = self.weight(name)?.lines();
        lines.ok_or_else(|| bad(self.name, &format!("names {name}, which is no stored matrix")))
    }

    fn vector(&self, name: &Json, size: usize) -> Result<Vec<f64>, ExecError> {
        let weight = self.weight(name)?;
        if weight.shape() != [size] {
            return Err(bad(self.name, &format!("names {name}, which is no vector of {size}")));
        }
        let elements = weight.vector().map_err(|error| bad(self.name, &format!("cannot be read: {error:?}")))?;
        Ok(elements.iter().map(|&element| f64::from(element)).collect())
    }

    fn maybe_vector(&self, name: &Json, size: usize) -> Result<Option<Vec<f64>>, ExecError> {
        if name.is_null() { Ok(None) } else { self.vector(name, size).map(Some) }
    }

    fn flag(&self, value: &Json) -> Result<bool, ExecError> {
        value.as_bool().ok_or_else(|| bad(self.name, "lacks a truth value"))
    }

    fn count(&self, value: &Json) -> Result<usize, ExecError> {
        let count = value.as_u64().and_then(|count| usize::try_from(count).ok()).filter(|count| *count > 0);
        count.ok_or_else(|| bad(self.name, "lacks a number of heads"))
    }
}
