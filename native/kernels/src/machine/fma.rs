use crate::isa::Isa;
use crate::pool;

use super::{Samples, sample};

const STEPS: u64 = 1 << 17;
/// Accumulators: more than latency × throughput of any processor known (4 cycles × 2), so that none waits for itself.
const CHAINS: u64 = 14;

/// 14 independent accumulators and two factors, all zeroed: values that are not numbers are slower on some processors.
#[cfg(target_arch = "x86_64")]
macro_rules! fma_loop {
    ($register:literal, $clear:literal, $name:ident) => {
        /// # Safety
        /// The processor has these registers and their fused multiply-add.
        unsafe fn $name() {
            // SAFETY: only registers named as clobbered are written; the caller has checked that they exist.
            unsafe {
                std::arch::asm!(
                    concat!(".irp i,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n", $clear, "\n.endr"),
                    "2:",
                    concat!(
                        ".irp i,0,1,2,3,4,5,6,7,8,9,10,11,12,13\nvfmadd231ps ",
                        $register, "\\i, ", $register, "14, ", $register, "15\n.endr"
                    ),
                    "dec {steps}",
                    "jnz 2b",
                    steps = inout(reg) STEPS => _,
                    out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _,
                    out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
                    out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
                    options(nostack, nomem)
                )
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
fma_loop!("zmm", "vpxorq zmm\\i, zmm\\i, zmm\\i", fma_avx512);
#[cfg(target_arch = "x86_64")]
fma_loop!("ymm", "vpxor ymm\\i, ymm\\i, ymm\\i", fma_avx2);

/// The same in intrinsics: the accumulators pass through an empty piece of assembly at each step, so that none is folded.
#[cfg(target_arch = "aarch64")]
unsafe fn fma_neon() {
    use std::arch::aarch64::{vdupq_n_f32, vfmaq_f32};
    // SAFETY: NEON belongs to every aarch64; the assembly is empty.
    unsafe {
        let (mut chains, a, b) = ([vdupq_n_f32(0.0); CHAINS as usize], vdupq_n_f32(0.0), vdupq_n_f32(0.0));
        for _ in 0..STEPS {
            for chain in &mut chains {
                *chain = vfmaq_f32(*chain, a, b);
                std::arch::asm!("/* {0:v} */", inout(vreg) * chain, options(nomem, nostack, preserves_flags));
            }
        }
    }
}

/// Fused multiply-adds in registers on so many threads together, two operations for each lane. `None` where there is no
/// such loop for the instruction set, or the processor has not got it.
///
/// Two processors of a virtual machine may share one core's multipliers, so two threads are measured, not counted twice.
pub fn fma(isa: Isa, threads: usize, samples: usize, stop: &dyn Fn() -> bool) -> Option<Samples> {
    let (run, lanes): (unsafe fn(), u64) = match isa {
        _ if !isa.is_available() => return None,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => (fma_avx512, 16),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => (fma_avx2, 8),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => (fma_neon, 4),
        _ => return None,
    };
    // More tasks than threads: where one thread is held up, the others go on.
    let tasks = if threads <= 1 { 8 } else { 8 * threads };
    // SAFETY: the instruction set was found to be there.
    let ns = sample(samples, stop, || pool::run(threads.max(1), tasks, &|_| unsafe { run() }));
    Some(Samples { work: (tasks as u64 * STEPS * CHAINS * lanes * 2) as f64, ns })
}
