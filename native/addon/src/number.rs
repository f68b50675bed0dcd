use crate::error::{ErrorCode, bad_input};

/// A JavaScript number as a size: whole, from 0, exact in a double.
pub fn size(what: &str, number: f64) -> napi::Result<usize, ErrorCode> {
    const LIMIT: f64 = 9_007_199_254_740_992.0;
    if (0.0..LIMIT).contains(&number) && number.fract() == 0.0 {
        return Ok(number as usize);
    }
    Err(bad_input(format!("{what} is {number}, where a whole number from 0 is needed.")))
}

pub fn sizes(what: &str, numbers: &[f64]) -> napi::Result<Vec<usize>, ErrorCode> {
    numbers.iter().map(|&number| size(what, number)).collect()
}
