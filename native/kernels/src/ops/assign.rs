use super::split::expect_len;
use crate::error::KernelError;
use crate::gemm::Context;

/// The linear sum assignment problem: each row of costs [n, m] gets a column of its own so that the sum is least; with more
/// rows than columns some get −1. Shortest augmenting paths with dual prices (Jonker and Volgenant 1987; the rectangular form
/// of Crouse 2016), in the order of additions of the reference, so of equal optima it finds the same one. Exact.
pub fn assign(
    ctx: &Context<'_>,
    costs: &[f64],
    [n, m]: [usize; 2],
    columns: &mut [i32],
    cost: &mut [f64],
) -> Result<(), KernelError> {
    expect_len("costs of assign", costs.len(), &[n, m])?;
    expect_len("columns of assign", columns.len(), &[n])?;
    expect_len("cost of assign", cost.len(), &[1])?;
    if n.max(m) > i32::MAX as usize {
        return Err(KernelError::TooLarge { what: "an assignment" });
    }
    if let Some(at) = costs.iter().position(|cost| !cost.is_finite()) {
        return Err(KernelError::NotFinite { what: "costs of assign", at });
    }
    columns.fill(-1);
    cost[0] = 0.0;
    if n <= m {
        let of = |row: usize, column: usize| costs[row * m + column];
        for (column, row) in solve(ctx, &of, n, m)?.into_iter().enumerate() {
            if let Some(row) = row {
                columns[row] = column as i32;
                cost[0] += of(row, column);
            }
        }
    } else {
        let of = |column: usize, row: usize| costs[row * m + column];
        for (row, column) in solve(ctx, &of, m, n)?.into_iter().enumerate() {
            if let Some(column) = column {
                columns[row] = column as i32;
                cost[0] += of(column, row);
            }
        }
    }
    Ok(())
}

/// The row of each column; at most as many rows as columns.
fn solve(
    ctx: &Context<'_>,
    cost: &dyn Fn(usize, usize) -> f64,
    rows: usize,
    columns: usize,
) -> Result<Vec<Option<usize>>, KernelError> {
    let mut row_price = vec![0.0f64; rows];
    let mut column_price = vec![0.0f64; columns];
    let mut row_of: Vec<Option<usize>> = vec![None; columns];
    for start in 0..rows {
        // Dijkstra over reduced costs from the free row to the nearest free column.
        let mut distance = vec![f64::INFINITY; columns];
        let mut before: Vec<Option<usize>> = vec![None; columns];
        let mut done = vec![false; columns];
        let (mut row, mut from, mut reached) = (start, None, 0.0);
        let end = loop {
            ctx.result()?;
            let mut next: Option<usize> = None;
            for column in (0..columns).filter(|&column| !done[column]) {
                let through = reached + cost(row, column) - row_price[row] - column_price[column];
                if through < distance[column] {
                    distance[column] = through;
                    before[column] = from;
                }
                if next.is_none_or(|next| distance[column] < distance[next]) {
                    next = Some(column);
                }
            }
            // Prices that overflow lead nowhere.
            let Some(next) = next.filter(|&next| distance[next].is_finite()) else {
                return Err(KernelError::NoConvergence { what: "assign" });
            };
            reached = distance[next];
            done[next] = true;
            from = Some(next);
            match row_of[next] {
                None => break next,
                Some(owner) => row = owner,
            }
        };
        row_price[start] += reached;
        for column in (0..columns).filter(|&column| done[column] && column != end) {
            let slack = reached - distance[column];
            column_price[column] -= slack;
            if let Some(owner) = row_of[column] {
                row_price[owner] += slack;
            }
        }
        let mut at = Some(end);
        while let Some(column) = at {
            let previous = before[column];
            row_of[column] = previous.map_or(Some(start), |previous| row_of[previous]);
            at = previous;
        }
    }
    Ok(row_of)
}
