//! Handing rows of the outputs to the threads of the pool.

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::OnceLock;

use crate::error::KernelError;
use crate::gemm::Context;
use crate::pool;

/// Work of one task in element operations: large beside a hand-over (0.1 to 12 µs), small beside the 50 ms in which a
/// cancelled run must stop. A constant, so that the partition never depends on the number of threads.
const TASK_COST: usize = 1 << 15;

/// Rows of a mutable slice that tasks on several threads take apart.
pub(crate) struct Rows<'a, T> {
    start: *mut T,
    len: usize,
    width: usize,
    owner: PhantomData<&'a mut [T]>,
}

// SAFETY: a Rows only gives out ranges, and `take` asks its caller that no two of them overlap.
unsafe impl<T: Send> Sync for Rows<'_, T> {}

impl<'a, T> Rows<'a, T> {
    pub(crate) fn new(slice: &'a mut [T], width: usize) -> Rows<'a, T> {
        Rows { start: slice.as_mut_ptr(), len: slice.len(), width, owner: PhantomData }
    }

    /// Where the first row begins, for those who write parts of rows and keep them apart themselves.
    pub(crate) fn start(&self) -> *mut T {
        self.start
    }

    /// # Safety
    /// While the result lives nobody else takes any of these rows.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn take(&self, rows: Range<usize>) -> &mut [T] {
        let (from, to) = (rows.start.checked_mul(self.width), rows.end.checked_mul(self.width));
        let (Some(from), Some(to)) = (from, to) else { panic!("rows behind the end of a slice") };
        assert!(from <= to && to <= self.len, "rows behind the end of a slice");
        // SAFETY: the range lies inside the slice that `new` borrowed uniquely; the caller keeps ranges apart.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(from), to - from) }
    }
}

/// Calls `body` with ranges that cover 0..count once, on the threads of `ctx`. `cost` is the work of one row in element
/// operations. Stops between ranges when cancelled.
pub(crate) fn for_rows(
    ctx: &Context<'_>,
    count: usize,
    cost: usize,
    body: &(dyn Fn(Range<usize>) + Sync),
) -> Result<(), KernelError> {
    let rows = (TASK_COST / cost.max(1)).max(1);
    pool::run(ctx.threads, count.div_ceil(rows), &|task| {
        if !ctx.is_cancelled() {
            body(task * rows..count.min((task + 1) * rows));
        }
    });
    ctx.result()
}

/// Fills the rows of a range in each of N outputs.
type Fill<'a, const N: usize> = dyn Fn(Range<usize>, [&mut [f32]; N]) + Sync + 'a;

/// As [`for_rows`], with the rows of each output; an output is a slice and the width of its rows.
pub(crate) fn fill_rows<const N: usize>(
    ctx: &Context<'_>,
    count: usize,
    cost: usize,
    outputs: [(&mut [f32], usize); N],
    body: &Fill<'_, N>,
) -> Result<(), KernelError> {
    let outputs = outputs.map(|(slice, width)| Rows::new(slice, width));
    for_rows(ctx, count, cost, &|rows| {
        // SAFETY: `for_rows` gives each row to one call.
        let parts = outputs.each_ref().map(|output| unsafe { output.take(rows.clone()) });
        body(rows, parts);
    })
}

/// Calls `body` once for each task on the threads of `ctx`; after an error no further task starts, and it is returned.
pub(crate) fn try_tasks(
    ctx: &Context<'_>,
    tasks: usize,
    body: &(dyn Fn(usize) -> Result<(), KernelError> + Sync),
) -> Result<(), KernelError> {
    let failure = OnceLock::new();
    pool::run(ctx.threads, tasks, &|task| {
        if failure.get().is_none()
            && !ctx.is_cancelled()
            && let Err(error) = body(task)
        {
            failure.get_or_init(|| error);
        }
    });
    ctx.result()?;
    failure.into_inner().map_or(Ok(()), Err)
}

/// That a slice has the length that the sizes say.
pub(crate) fn expect_len(what: &'static str, got: usize, sizes: &[usize]) -> Result<(), KernelError> {
    let expected = sizes.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
    match expected {
        None => Err(KernelError::TooLarge { what }),
        Some(expected) if expected == got => Ok(()),
        Some(expected) => Err(KernelError::Shape { what, expected, got }),
    }
}

/// An index that came from outside.
pub(crate) fn index_below(what: &'static str, index: i32, limit: usize) -> Result<usize, KernelError> {
    match usize::try_from(index) {
        Ok(index) if index < limit => Ok(index),
        // A negative index is reported as the huge number it would be: it is outside either way.
        _ => Err(KernelError::OutOfRange { what, limit, got: index as isize as usize }),
    }
}

/// Entries per row, for slices that are rows of equal width; 0 rows have no width to find.
pub(crate) fn row_count(what: &'static str, len: usize, width: usize) -> Result<usize, KernelError> {
    if width == 0 {
        return if len == 0 { Ok(0) } else { Err(KernelError::Shape { what, expected: 0, got: len }) };
    }
    if len.is_multiple_of(width) {
        Ok(len / width)
    } else {
        Err(KernelError::Shape { what, expected: len / width * width, got: len })
    }
}
