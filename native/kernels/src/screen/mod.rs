//! A dictionary held twice: in few bits, which tell at two or four times the speed what cannot be among the first k, and
//! in rows of f32, from which what may be is computed as the plain kernel computes it.

mod tile;

use std::sync::OnceLock;

use crate::error::KernelError;
use crate::gemm::Context;
use crate::isa::Isa;
use crate::memory::Memory;
use crate::pack::PackedMatrix;
use crate::pool;

pub(crate) use tile::{COLUMNS, ROWS, tile};

/// What the first look is at.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Bits {
    /// Both operands rounded to bfloat16, pairs multiplied and added in f32.
    Bf16,
    /// Both operands as whole numbers of a scale, weights from −127 to 127, sums exact.
    Int8,
}

impl Bits {
    /// Values that lie together in one 32-bit word.
    pub(crate) fn per_word(self) -> usize {
        match self {
            Bits::Bf16 => 2,
            Bits::Int8 => 4,
        }
    }

    /// Whether the processor multiplies these by an instruction of its own; elsewhere plain f32 is faster.
    pub fn is_fast(self, isa: Isa) -> bool {
        match (isa, self) {
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512, Bits::Bf16) => is_x86_feature_detected!("avx512bf16") && isa.is_available(),
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512, Bits::Int8) => is_x86_feature_detected!("avx512vnni") && isa.is_available(),
            _ => false,
        }
    }
}

/// So many products of 255 and 127 fit an i32.
const LONGEST: usize = 1 << 16;

/// What is known of each column; norms are rounded up.
#[derive(Default)]
pub(crate) struct Columns {
    /// ‖w‖ + ‖w − w̃‖, with w̃ what the few bits say.
    pub size: Vec<f32>,
    /// ‖w − w̃‖.
    pub error: Vec<f32>,
    /// What one unit of an int8 stands for; 1 for bf16.
    pub scale: Vec<f32>,
    /// 128·Σ of the int8s, which unsigned activations add to every sum; 0 for bf16.
    pub offset: Vec<i32>,
}

/// A dictionary [K, F] made ready for a first look.
pub struct Screen {
    pub(crate) bits: Bits,
    k: usize,
    n: usize,
    /// `[ceil(n / COLUMNS)][words][COLUMNS]`
    panels: Option<Memory>,
    /// `[n][k]` f32
    rows: Option<Memory>,
    /// Each as long as all panels have columns.
    pub(crate) columns: Columns,
}

impl Screen {
    /// `None` where no bound can be given: for weights that are not all finite, and where sums of int8 could overflow.
    pub fn of(ctx: &Context<'_>, w: &PackedMatrix, bits: Bits) -> Result<Option<Screen>, KernelError> {
        let (k, n) = (w.k(), w.n());
        if bits == Bits::Int8 && k > LONGEST {
            return Ok(None);
        }
        let too_large = || KernelError::TooLarge { what: "screen of a dictionary" };
        let (panels, words) = (n.div_ceil(COLUMNS), k.div_ceil(bits.per_word()));
        let room = |bytes: Option<usize>| match bytes {
            Some(0) => Ok(None),
            bytes => bytes.and_then(Memory::zeroed).map(Some).ok_or_else(too_large),
        };
        let mut screen = Screen {
            bits,
            k,
            n,
            panels: room(panels.checked_mul(COLUMNS * 4).and_then(|bytes| bytes.checked_mul(words)))?,
            rows: room(n.checked_mul(k).and_then(|count| count.checked_mul(4)))?,
            columns: Columns::default(),
        };
        let (rows, words_out) = (SharedStart::of(&mut screen.rows), SharedStart::of(&mut screen.panels));
        let found: Vec<OnceLock<[Column; COLUMNS]>> = (0..panels).map(|_| OnceLock::new()).collect();
        pool::run(ctx.threads, panels, &|panel| {
            if ctx.is_cancelled() {
                return;
            }
            let mut columns = [Column::default(); COLUMNS];
            let mut few = vec![0u32; words * COLUMNS];
            for (lane, known) in columns.iter_mut().enumerate().take(n - (panel * COLUMNS).min(n)) {
                let column = panel * COLUMNS + lane;
                // SAFETY: `rows` has n rows of k floats, and each column is in one panel.
                let row = unsafe { std::slice::from_raw_parts_mut(rows.get().cast::<f32>().add(column * k), k) };
                if w.gather_column(column, row).is_err() {
                    return;
                }
                *known = Column::of(bits, row, &mut |word, value| few[word * COLUMNS + lane] = value);
            }
            // SAFETY: `panels` has as many panels of `few.len()` words, and each is one task's.
            unsafe {
                let to = words_out.get().cast::<u32>().add(panel * few.len());
                to.copy_from_nonoverlapping(few.as_ptr(), few.len());
            }
            found[panel].get_or_init(|| columns);
        });
        ctx.result()?;
        let Some(found) = found.into_iter().map(OnceLock::into_inner).collect::<Option<Vec<_>>>() else {
            return Err(too_large());
        };
        let all = || found.iter().flatten();
        if all().any(|column| !column.size.is_finite()) {
            return Ok(None);
        }
        screen.columns = Columns {
            size: all().map(|column| column.size).collect(),
            error: all().map(|column| column.error).collect(),
            scale: all().map(|column| column.scale).collect(),
            offset: all().map(|column| column.offset).collect(),
        };
        Ok(Some(screen))
    }

    pub fn k(&self) -> usize {
        self.k
    }

    pub fn n(&self) -> usize {
        self.n
    }

    pub fn bits(&self) -> Bits {
        self.bits
    }

    /// Memory held.
    pub fn bytes(&self) -> usize {
        [&self.panels, &self.rows].into_iter().flatten().map(Memory::len).sum::<usize>() + self.columns.size.len() * 16
    }

    pub(crate) fn words(&self) -> usize {
        self.k.div_ceil(self.bits.per_word())
    }

    /// `[words][COLUMNS]`
    pub(crate) fn panel(&self, panel: usize) -> &[u32] {
        let len = self.words() * COLUMNS;
        let bytes = self.panels.as_ref().map_or(&[][..], Memory::bytes);
        // SAFETY: memory starts on a cache line and any bytes are a u32.
        let (_, all, _) = unsafe { bytes.align_to::<u32>() };
        &all[panel * len..(panel + 1) * len]
    }

    /// W[:, column]
    pub(crate) fn column(&self, column: usize) -> &[f32] {
        let bytes = self.rows.as_ref().map_or(&[][..], Memory::bytes);
        // SAFETY: memory starts on a cache line and any bytes are an f32.
        let (_, all, _) = unsafe { bytes.align_to::<f32>() };
        &all[column * self.k..(column + 1) * self.k]
    }
}

#[derive(Clone, Copy, Default)]
struct Column {
    size: f32,
    error: f32,
    scale: f32,
    offset: i32,
}

impl Column {
    fn of(bits: Bits, w: &[f32], put: &mut dyn FnMut(usize, u32)) -> Column {
        let few = Few::of(bits, w, put);
        Column {
            size: above(few.norm + few.error),
            error: above(few.error),
            scale: few.scale,
            offset: few.sum.wrapping_mul(128),
        }
    }
}

/// A vector in few bits, as words handed to `put`.
pub(crate) struct Few {
    /// ‖v‖
    pub norm: f64,
    /// ‖v − ṽ‖
    pub error: f64,
    pub scale: f32,
    /// Σ of the int8s.
    pub sum: i32,
}

impl Few {
    pub fn of(bits: Bits, v: &[f32], put: &mut dyn FnMut(usize, u32)) -> Few {
        let largest = v.iter().fold(0f32, |largest, x| largest.max(x.abs()));
        let scale = if bits == Bits::Int8 && largest > 0.0 { largest / 127.0 } else { 1.0 };
        let inverse = 1.0 / f64::from(scale);
        let (mut norm, mut error, mut sum) = (0f64, 0f64, 0);
        for (word, values) in v.chunks(bits.per_word()).enumerate() {
            let mut packed = 0u32;
            for (at, &x) in values.iter().enumerate() {
                let exact = f64::from(x);
                let rounded = match bits {
                    Bits::Bf16 => {
                        let half = to_bf16(x);
                        packed |= u32::from(half) << (16 * at);
                        f64::from(f32::from_bits(u32::from(half) << 16))
                    }
                    Bits::Int8 => {
                        let unit = (exact * inverse).round_ties_even().clamp(-127.0, 127.0) as i8;
                        packed |= u32::from(unit as u8) << (8 * at);
                        sum += i32::from(unit);
                        f64::from(unit) * f64::from(scale)
                    }
                };
                norm += exact * exact;
                error += (exact - rounded) * (exact - rounded);
            }
            put(word, packed);
        }
        Few { norm: norm.sqrt(), error: error.sqrt(), scale, sum }
    }
}

/// Rounded to nearest, ties to even; what would be subnormal is 0, since the processor would flush it.
fn to_bf16(x: f32) -> u16 {
    if x.abs() < f32::MIN_POSITIVE {
        return 0;
    }
    let bits = x.to_bits();
    if !x.is_finite() {
        return (bits >> 16) as u16;
    }
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

/// An f32 that is not less, with room for the roundings of a sum of squares in f64.
pub(crate) fn above(x: f64) -> f32 {
    ((x * (1.0 + 1e-7)) as f32).next_up()
}

struct SharedStart(*mut u8);

// SAFETY: the pointer is only used for ranges that no two tasks share.
unsafe impl Sync for SharedStart {}

impl SharedStart {
    fn of(memory: &mut Option<Memory>) -> SharedStart {
        SharedStart(memory.as_mut().map_or(std::ptr::null_mut(), |memory| memory.bytes_mut().as_mut_ptr()))
    }

    fn get(&self) -> *mut u8 {
        if self.0.is_null() { std::ptr::NonNull::<u64>::dangling().as_ptr().cast() } else { self.0 }
    }
}
