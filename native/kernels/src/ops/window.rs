//! How a window moves over a plane, one axis at a time: the arithmetic that convolutions and pools share.

use std::ops::Range;

use crate::error::KernelError;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Axis {
    pub size: usize,
    pub window: usize,
    pub stride: usize,
    /// Entries before the image; `behind` are those after it.
    pub padding: usize,
    pub behind: usize,
    pub dilation: usize,
    /// Entries of the axis after the kernel.
    pub out: usize,
}

impl Axis {
    /// `movement` is stride, padding before and behind, and dilation. With `ceil` a last window that only partly fits counts, if it begins inside
    /// the image or the padding before it.
    pub fn new(
        size: usize,
        window: usize,
        [stride, padding, behind, dilation]: [usize; 4],
        ceil: bool,
    ) -> Result<Axis, KernelError> {
        let too_large = KernelError::TooLarge { what: "window" };
        for (what, value) in [("stride", stride), ("dilation", dilation)] {
            if value == 0 {
                return Err(KernelError::Shape { what, expected: 1, got: 0 });
            }
        }
        let padded = padding.checked_add(behind).and_then(|both| both.checked_add(size)).ok_or(too_large.clone())?;
        let reach = window.saturating_sub(1).checked_mul(dilation).and_then(|reach| reach.checked_add(1));
        let axis = Axis { size, window, stride, padding, behind, dilation, out: 0 };
        let Some(room) = padded.checked_sub(reach.ok_or(too_large.clone())?) else { return Ok(axis) };
        let begun = if ceil { room.checked_add(stride - 1).ok_or(too_large.clone())? } else { room };
        let fitting = begun / stride + 1;
        let last = (fitting - 1).checked_mul(stride).ok_or(too_large)?;
        Ok(Axis { out: if ceil && last >= size + padding { fitting - 1 } else { fitting }, ..axis })
    }

    /// Where the entry `offset` of the window at place `at` lies, if not in the padding.
    pub fn place(&self, at: usize, offset: usize) -> Option<usize> {
        (at * self.stride + offset * self.dilation).checked_sub(self.padding).filter(|place| *place < self.size)
    }

    /// The places at which entry `offset` of the window lies inside the image: they are neighbours.
    pub fn inside(&self, offset: usize) -> Range<usize> {
        let shift = offset * self.dilation;
        let first = self.padding.saturating_sub(shift).div_ceil(self.stride);
        let last = (self.size + self.padding).saturating_sub(shift).div_ceil(self.stride);
        first.min(self.out)..last.clamp(first.min(self.out), self.out)
    }

    /// The entries of the image under the window at place `at` (of dilation 1), and its length with padding.
    pub fn covered(&self, at: usize) -> (Range<usize>, usize) {
        let from = at * self.stride;
        let end = from + self.window;
        let padded = end.min(self.size + self.padding + self.behind) - from;
        (from.saturating_sub(self.padding)..end.saturating_sub(self.padding).min(self.size), padded)
    }
}

/// A window's two axes: down and across.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plane {
    pub down: Axis,
    pub across: Axis,
}

impl Plane {
    /// Entries of a plane before the kernel.
    pub fn before(&self) -> usize {
        self.down.size * self.across.size
    }

    /// Entries of a plane after it.
    pub fn places(&self) -> usize {
        self.down.out * self.across.out
    }

    /// Entries of the window.
    pub fn taps(&self) -> usize {
        self.down.window * self.across.window
    }
}

/// A convolution's sizes: `before` and `after` count the channels of one of its groups.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Convolution {
    pub plane: Plane,
    pub groups: usize,
    pub before: usize,
    pub after: usize,
}

impl Convolution {
    /// Products of one output: channels of a group times entries of the window.
    pub fn terms(&self) -> usize {
        self.before * self.plane.taps()
    }
}
