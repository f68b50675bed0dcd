use super::tree::LANES;

/// Divides many numbers by one, each to the bit as a division would.
///
/// A quotient from the rounded inverse is at most two units off; one fused correction q + (a − q·b)/b brings it to a neighbour of
/// a/b, a second to the nearest (P. Markstein, _Computation of elementary functions on the IBM RISC System/6000 processor_, 1990:
/// with the inverse correctly rounded and a neighbour to begin with, the remainder being exact). Five operations that overlap take
/// less than one division. Both hold while nothing overflows or becomes subnormal: `None` for divisors outside of 2^-30 to 2^30,
/// and the dividends must be ±0 or lie between 2^-90 and 2^90, for which [`Smallest`] stands in.
#[derive(Clone, Copy)]
pub(crate) struct Divisor {
    by: f32,
    inverse: f32,
}

/// 2^k as bits.
const fn power(k: i32) -> u32 {
    ((k + 127) as u32) << 23
}

impl Divisor {
    #[inline(always)]
    pub(crate) fn new(by: f32) -> Option<Divisor> {
        let size = by.to_bits() & 0x7fff_ffff;
        // No closures here: they would not be compiled for the instruction set of the loop around them.
        if size >= power(-30) && size <= power(30) { Some(Divisor { by, inverse: 1.0 / by }) } else { None }
    }

    #[inline(always)]
    pub(crate) fn divide(&self, a: f32) -> f32 {
        let Divisor { by, inverse } = *self;
        let first = a * inverse;
        let second = (-first).mul_add(by, a).mul_add(inverse, first);
        let third = (-second).mul_add(by, a).mul_add(inverse, second);
        // A remainder of +0 would take the sign of −0.
        if a == 0.0 { first } else { third }
    }
}

/// The smallest dividend that is not zero, by lane.
#[derive(Clone, Copy)]
pub(crate) struct Smallest([u32; LANES]);

impl Smallest {
    pub(crate) const NONE: Smallest = Smallest([u32::MAX; LANES]);

    #[inline(always)]
    pub(crate) fn see(&mut self, lane: usize, x: f32) {
        // Zero wraps to the largest.
        let size = (x.to_bits() & 0x7fff_ffff).wrapping_sub(1);
        self.0[lane] = if size < self.0[lane] { size } else { self.0[lane] };
    }

    /// Whether all were at least 2^-90, or zero.
    #[inline(always)]
    pub(crate) fn is_large_enough(&self) -> bool {
        let mut smallest = u32::MAX;
        for size in self.0 {
            smallest = if size < smallest { size } else { smallest };
        }
        smallest >= power(-90) - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;
    use crate::ops::per_isa;

    per_isa! {
        fn row_by(row: &mut [f32], by: f32) {
            let mut smallest = Smallest::NONE;
            for (at, x) in row.iter().enumerate() {
                smallest.see(at % LANES, *x);
            }
            match Divisor::new(by) {
                Some(divisor) if smallest.is_large_enough() => row.iter_mut().for_each(|x| *x = divisor.divide(*x)),
                _ => row.iter_mut().for_each(|x| *x /= by),
            }
        }
    }

    fn bits(seed: &mut u64) -> u32 {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 32) as u32
    }

    #[test]
    fn quotients_are_those_of_divisions_to_the_bit() {
        let mut seed = 11;
        let edge = [0u32, 1, 2, 3, 0x7f_ffff, 0x7f_fffe, 0x7f_fffd, 0x40_0000, 0x3f_ffff, 0x40_0001];
        for isa in Isa::available() {
            for round in 0..60_000 {
                let mantissa = |seed: &mut u64, edges: bool| {
                    if edges { edge[bits(seed) as usize % edge.len()] } else { bits(seed) & 0x7f_ffff }
                };
                let exponent = |seed: &mut u64, span: i32| power((bits(seed) % (2 * span as u32 + 1)) as i32 - span);
                let by = f32::from_bits(mantissa(&mut seed, round % 3 == 0) | exponent(&mut seed, 31));
                let row: Vec<f32> = (0..67)
                    .map(|at| {
                        // Every fifth row goes below what the corrections can do.
                        let span = if round % 5 == 0 { 100 } else { 89 };
                        let x = mantissa(&mut seed, at % 2 == 0)
                            | exponent(&mut seed, span).min(power(89))
                            | bits(&mut seed) & (1 << 31);
                        f32::from_bits(if bits(&mut seed).is_multiple_of(9) { x & (1 << 31) } else { x })
                    })
                    .collect();
                let mut got = row.clone();
                row_by(isa, &mut got, by);
                for (x, got) in row.iter().zip(got) {
                    assert_eq!(got.to_bits(), (x / by).to_bits(), "{x:e} / {by:e}");
                }
            }
        }
    }

    #[test]
    fn what_is_special_divides_as_it_does_elsewhere() {
        let special = [0.0, -0.0, 1e-40, -1e-45, f32::MIN_POSITIVE, 3.0];
        for isa in Isa::available() {
            for by in special.into_iter().chain([-2.0, 1e-20, 1e20, f32::NAN, f32::INFINITY, f32::MAX]) {
                for x in special {
                    let mut row = vec![x; 40];
                    row[7] = 1.5;
                    row_by(isa, &mut row, by);
                    for (at, got) in row.into_iter().enumerate() {
                        let wish = if at == 7 { 1.5 } else { x } / by;
                        assert!(got.to_bits() == wish.to_bits() || got.is_nan() && wish.is_nan(), "{x} / {by}");
                    }
                }
            }
        }
    }
}
