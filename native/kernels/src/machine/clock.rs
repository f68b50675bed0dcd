use super::{Samples, sample};

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
const STEPS: u64 = 1 << 14;
/// Additions of one step.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
const CHAIN: u64 = 64;

/// A chain of additions, each waiting for the one before: one cycle each on every processor of today, so cycles per
/// second is the clock at which this core really ran. Both operands are registers: an immediate could be folded away at
/// renaming. The counter of time stamps and what the system reports are nominal, and say nothing of the clock.
/// `work` is cycles. `None` on other processors.
pub fn clock(samples: usize, stop: &dyn Fn() -> bool) -> Option<Samples> {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    {
        Some(Samples { work: (STEPS * CHAIN) as f64, ns: sample(samples, stop, chain) })
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        let _ = (samples, stop, sample);
        None
    }
}

#[cfg(target_arch = "x86_64")]
fn chain() {
    // SAFETY: only the named registers and the flags are written.
    unsafe {
        std::arch::asm!(
            "2:",
            ".rept 64",
            "add {x}, {one}",
            ".endr",
            "dec {steps}",
            "jnz 2b",
            x = inout(reg) 0u64 => _,
            one = in(reg) 1u64,
            steps = inout(reg) STEPS => _,
            options(nostack, nomem)
        );
    }
}

#[cfg(target_arch = "aarch64")]
fn chain() {
    // SAFETY: as above.
    unsafe {
        std::arch::asm!(
            "2:",
            ".rept 64",
            "add {x}, {x}, {one}",
            ".endr",
            "subs {steps}, {steps}, #1",
            "b.ne 2b",
            x = inout(reg) 0u64 => _,
            one = in(reg) 1u64,
            steps = inout(reg) STEPS => _,
            options(nostack, nomem)
        );
    }
}
