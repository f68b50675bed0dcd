//! Which instruction set the kernels use: found once, or pinned by `CIRCUITSCOPE_ISA`.

use std::sync::OnceLock;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Isa {
    /// Plain Rust with `f32::mul_add`: the same bits as the others on any processor.
    Portable,
    /// AVX2 with FMA and F16C.
    Avx2,
    /// AVX-512 F.
    Avx512,
    /// Arm Advanced SIMD.
    Neon,
}

impl Isa {
    /// From the slowest to the fastest.
    pub const ALL: [Isa; 4] = [Isa::Portable, Isa::Neon, Isa::Avx2, Isa::Avx512];

    pub fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
            Isa::Neon => "neon",
        }
    }

    pub fn parse(name: &str) -> Option<Isa> {
        Isa::ALL.into_iter().find(|isa| isa.name() == name)
    }

    /// Whether this processor and operating system can run it. Costs one cached load.
    pub fn is_available(self) -> bool {
        match self {
            Isa::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => {
                is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c")
            }
            // The AVX-512 path also runs AVX2 code for what gains nothing from wider registers.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => is_x86_feature_detected!("avx512f") && Isa::Avx2.is_available(),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => std::arch::is_aarch64_feature_detected!("neon"),
            #[allow(unreachable_patterns)]
            _ => false,
        }
    }

    pub fn available() -> Vec<Isa> {
        Isa::ALL.into_iter().filter(|isa| isa.is_available()).collect()
    }
}

/// `requested` is the value of `CIRCUITSCOPE_ISA`; without one the fastest available is taken.
fn choose(requested: Option<&str>) -> Result<Isa, String> {
    let names = || Isa::available().iter().map(|isa| isa.name()).collect::<Vec<_>>().join(", ");
    let Some(name) = requested else {
        return Ok(Isa::available().last().copied().unwrap_or(Isa::Portable));
    };
    let isa = Isa::parse(name).ok_or_else(|| {
        format!(
            "CIRCUITSCOPE_ISA={name} is not an instruction set this build knows; set one of {}, or unset it",
            names()
        )
    })?;
    if isa.is_available() {
        Ok(isa)
    } else {
        Err(format!("CIRCUITSCOPE_ISA={name} is not available on this processor; set one of {}, or unset it", names()))
    }
}

/// The instruction set of this process, or the sentence that says why the pinned one cannot serve.
pub fn check() -> Result<Isa, String> {
    static CHOSEN: OnceLock<Result<Isa, String>> = OnceLock::new();
    CHOSEN
        .get_or_init(|| match std::env::var_os("CIRCUITSCOPE_ISA") {
            None => choose(None),
            Some(value) => choose(Some(&value.to_string_lossy())),
        })
        .clone()
}

/// As [`check`]; panics where that gives an error, so a wrong pin is never replaced by another path.
pub fn active() -> Isa {
    match check() {
        Ok(isa) => isa,
        Err(message) => panic!("{message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_or_unavailable_pin_is_an_error_that_names_the_choices() {
        let unknown = choose(Some("sse9")).unwrap_err();
        assert!(unknown.contains("sse9") && unknown.contains("portable"), "{unknown}");
        for isa in Isa::ALL {
            match choose(Some(isa.name())) {
                Ok(chosen) => assert!(chosen == isa && isa.is_available()),
                Err(message) => assert!(!isa.is_available() && message.contains(isa.name())),
            }
        }
        assert!(choose(Some("")).is_err());
    }

    #[test]
    fn without_a_pin_the_fastest_available_is_chosen() {
        assert_eq!(choose(None), Ok(*Isa::available().last().unwrap()));
    }
}
