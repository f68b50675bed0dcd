//! The two 16-bit floating point types as bit patterns, and their exact widening to f32.

/// Element type of stored weights.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Dtype {
    F32,
    Bf16,
    F16,
}

impl Dtype {
    pub const fn bytes(self) -> usize {
        match self {
            Dtype::F32 => 4,
            Dtype::Bf16 | Dtype::F16 => 2,
        }
    }

    /// Widens one little-endian element; `at` holds exactly [`Dtype::bytes`] bytes or more.
    #[inline]
    pub fn widen(self, at: &[u8]) -> f32 {
        match self {
            Dtype::F32 => f32::from_le_bytes([at[0], at[1], at[2], at[3]]),
            Dtype::Bf16 => Bf16(u16::from_le_bytes([at[0], at[1]])).to_f32(),
            Dtype::F16 => F16(u16::from_le_bytes([at[0], at[1]])).to_f32(),
        }
    }
}

/// bfloat16: the upper half of an f32.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct Bf16(pub u16);

impl Bf16 {
    #[inline(always)]
    pub fn to_f32(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }
}

/// IEEE binary16: 1 sign, 5 exponent, 10 fraction bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct F16(pub u16);

impl F16 {
    /// Exact for every finite value and infinity, subnormals included; a NaN stays a NaN.
    #[inline(always)]
    pub fn to_f32(self) -> f32 {
        let sign = u32::from(self.0 & 0x8000) << 16;
        let magnitude = u32::from(self.0 & 0x7fff);
        let bits = if magnitude >= 0x7c00 {
            (magnitude << 13) | 0x7f80_0000
        } else {
            // Reading the fields as an f32 is too small by 2^112; the product by a power of two is exact.
            (f32::from_bits(magnitude << 13) * f32::from_bits((112 + 127) << 23)).to_bits()
        };
        f32::from_bits(sign | bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_f16_widens_to_its_value() {
        for bits in 0..=u16::MAX {
            let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
            let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
            let wide = F16(bits).to_f32();
            match (exponent, fraction == 0.0) {
                (31, true) => assert_eq!(f64::from(wide), sign * f64::INFINITY),
                (31, false) => assert!(wide.is_nan()),
                (0, _) => assert_eq!(f64::from(wide).to_bits(), (sign * fraction * 2f64.powi(-24)).to_bits()),
                _ => assert_eq!(f64::from(wide), sign * (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15)),
            }
        }
    }
}
