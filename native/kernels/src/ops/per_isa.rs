/// Writes one function and compiles it once per instruction set. The body is the same sequence of IEEE operations on each
/// path (`mul_add` is fused everywhere), so the paths agree to the bit; only the width of the registers differs.
/// The first argument of the result is the [`Isa`](crate::isa::Isa) to use.
macro_rules! per_isa {
    ($(#[$doc:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $result:ty)? $body:block) => {
        $(#[$doc])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name(isa: $crate::isa::Isa, $($arg: $type),*) $(-> $result)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            fn body($($arg: $type),*) $(-> $result)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            #[allow(clippy::too_many_arguments)]
            fn avx2($($arg: $type),*) $(-> $result)? {
                body($($arg),*)
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,avx512f")]
            #[allow(clippy::too_many_arguments)]
            fn avx512($($arg: $type),*) $(-> $result)? {
                body($($arg),*)
            }

            assert!(isa.is_available(), "this processor has no {}", isa.name());
            match isa {
                // SAFETY: the assertion above has found the features that the function is compiled for.
                #[cfg(target_arch = "x86_64")]
                $crate::isa::Isa::Avx2 => unsafe { avx2($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::isa::Isa::Avx512 => unsafe { avx512($($arg),*) },
                // NEON and its fused multiply-add belong to every aarch64, so the plain body has them already.
                _ => body($($arg),*),
            }
        }
    };
}

pub(crate) use per_isa;
