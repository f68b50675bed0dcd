//! A stored matrix line by line, in the direction in which its elements lie side by side, widened to f64.

use std::ops::Range;

use super::weight::{Raw, release};
use crate::half::Dtype;

/// Element (i, j) of `[k, n]` is number `offset + i·sk + j·sn` of `raw`; whoever makes one has checked that.
#[derive(Clone)]
pub(super) struct StoredLines {
    pub raw: Raw,
    pub offset: usize,
    pub k: usize,
    pub n: usize,
    pub sk: usize,
    pub sn: usize,
}

impl StoredLines {
    /// Lines are columns where those are stored in one piece, else rows.
    pub fn by_columns(&self) -> bool {
        self.sk == 1 && self.sn != 1
    }

    /// Elements of a line.
    pub fn len(&self) -> usize {
        if self.by_columns() { self.k } else { self.n }
    }

    fn steps(&self) -> [usize; 2] {
        if self.by_columns() { [self.sn, self.sk] } else { [self.sk, self.sn] }
    }

    /// Elements `first` and following of a line.
    pub fn read(&self, line: usize, first: usize, out: &mut [f64]) {
        let [down, along] = self.steps();
        self.read_from(self.offset + line * down + first * along, along, out);
    }

    /// Elements `first` and following of a row.
    pub fn read_row(&self, row: usize, first: usize, out: &mut [f64]) {
        self.read_from(self.offset + row * self.sk + first * self.sn, self.sn, out);
    }

    fn read_from(&self, start: usize, along: usize, out: &mut [f64]) {
        let (bytes, dtype) = (self.raw.bytes(), self.raw.dtype());
        let size = dtype.bytes();
        if along != 1 {
            for (i, out) in out.iter_mut().enumerate() {
                *out = f64::from(dtype.widen(&bytes[(start + i * along) * size..]));
            }
            return;
        }
        let line = &bytes[start * size..(start + out.len()) * size];
        if dtype == Dtype::F32 {
            // Without a choice of the type inside, so that several elements are widened at once.
            let (elements, _) = line.as_chunks::<4>();
            for (out, element) in out.iter_mut().zip(elements) {
                *out = f64::from(f32::from_le_bytes(*element));
            }
            return;
        }
        for (out, element) in out.iter_mut().zip(line.chunks_exact(size)) {
            *out = f64::from(dtype.widen(element));
        }
    }

    /// Gives back the pages of some lines, where lines follow each other in a file.
    pub fn release_lines(&self, lines: Range<usize>) {
        let [down, along] = self.steps();
        if let (Raw::Mapped { file, byte_offset, dtype }, 1) = (&self.raw, along)
            && down >= self.len()
        {
            let first = byte_offset + (self.offset + lines.start * down) * dtype.bytes();
            release(file, first, lines.len() * down * dtype.bytes());
        }
    }

    /// Gives back the pages from the first element to the last one.
    pub fn release_all(&self) {
        if let (Raw::Mapped { file, byte_offset, dtype }, true) = (&self.raw, self.k * self.n > 0) {
            let last = (self.k - 1) * self.sk + (self.n - 1) * self.sn + 1;
            release(file, byte_offset + self.offset * dtype.bytes(), last * dtype.bytes());
        }
    }
}
