//! Attributes of kernels: JSON to types, or what is wrong with them.

use serde_json::{Map, Value as Json};

use super::program::Dim;
use crate::ops::{ActivationFunction, NormKind, Reach};

/// The attributes of one step of a program.
pub(super) struct Attrs<'a> {
    pub kernel: &'a str,
    pub attrs: &'a Map<String, Json>,
}

impl Attrs<'_> {
    pub(super) fn has(&self, name: &str) -> bool {
        self.attrs.get(name).is_some_and(|value| !value.is_null())
    }

    fn wrong<T>(&self, name: &str, expected: &str) -> Result<T, String> {
        let got = self.attrs.get(name).map_or("nothing".into(), |value| {
            let text = value.to_string();
            if text.chars().count() > 60 { format!("{}…", text.chars().take(60).collect::<String>()) } else { text }
        });
        Err(format!("{} needs the attribute {name} to be {expected}, but it is {got}", self.kernel))
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, String> {
        self.attrs.get(name).and_then(Json::as_bool).map_or_else(|| self.wrong(name, "true or false"), Ok)
    }

    /// False where it is left out.
    pub(super) fn maybe_flag(&self, name: &str) -> Result<bool, String> {
        if self.has(name) { self.flag(name) } else { Ok(false) }
    }

    pub(super) fn number(&self, name: &str) -> Result<f32, String> {
        let number = self.attrs.get(name).and_then(Json::as_f64).map(|number| number as f32);
        number.filter(|number| number.is_finite()).map_or_else(|| self.wrong(name, "a number that fits a float32"), Ok)
    }

    pub(super) fn count(&self, name: &str) -> Result<usize, String> {
        self.attrs.get(name).and_then(whole).map_or_else(|| self.wrong(name, "a whole number from 0"), Ok)
    }

    pub(super) fn maybe_count(&self, name: &str) -> Result<Option<usize>, String> {
        if self.has(name) { self.count(name).map(Some) } else { Ok(None) }
    }

    pub(super) fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<T, String> {
        let given = self.attrs.get(name).and_then(Json::as_str);
        let found = words.iter().find(|(word, _)| Some(*word) == given);
        found.map_or_else(
            || {
                self.wrong(
                    name,
                    &format!("one of {}", words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ")),
                )
            },
            |(_, value)| Ok(*value),
        )
    }

    pub(super) fn activation(&self) -> Result<ActivationFunction, String> {
        let functions = [
            ("gelu_tanh", ActivationFunction::GeluTanh),
            ("gelu_erf", ActivationFunction::GeluErf),
            ("silu", ActivationFunction::Silu),
            ("relu", ActivationFunction::Relu),
        ];
        self.word("fn", &functions)
    }

    pub(super) fn norm_kind(&self) -> Result<NormKind, String> {
        self.word("kind", &[("layer", NormKind::Layer), ("rms", NormKind::Rms)])
    }

    pub(super) fn reach(&self) -> Result<Reach, String> {
        Ok(Reach { causal: self.flag("causal")?, window: self.maybe_count("window")?.unwrap_or(0) })
    }

    pub(super) fn cap(&self) -> Result<f32, String> {
        let cap = self.number("cap")?;
        if cap > 0.0 { Ok(cap) } else { self.wrong("cap", "a number above 0 that fits a float32") }
    }

    pub(super) fn maybe_cap(&self) -> Result<Option<f32>, String> {
        if self.has("cap") { self.cap().map(Some) } else { Ok(None) }
    }

    pub(super) fn dims(&self, dim: &mut dyn FnMut(&Json) -> Option<Dim>) -> Result<[Dim; 3], String> {
        if let Some([a, b, c]) = self.attrs.get("dims").and_then(Json::as_array).map(Vec::as_slice)
            && let (Some(a), Some(b), Some(c)) = (dim(a), dim(b), dim(c))
        {
            return Ok([a, b, c]);
        }
        self.wrong("dims", "three sizes, each a whole number or the name of one")
    }
}

/// A whole number that a double holds exactly; JSON writers may well say 3.0.
pub(crate) fn whole(value: &Json) -> Option<usize> {
    const LIMIT: f64 = 9_007_199_254_740_992.0;
    let number = value.as_f64()?;
    ((0.0..LIMIT).contains(&number) && number.fract() == 0.0).then_some(number as usize)
}
