import { CircuitscopeError } from '@circuitscope/schema';

export interface Assignment {
  /** For each row the column it got; −1 where there are more rows than columns. */
  readonly columns: readonly number[];
  readonly cost: number;
}

/**
 * The linear sum assignment problem: each row gets a column of its own so that the sum of costs is least. Shortest
 * augmenting paths with dual prices, O(rows² · columns) (Kuhn 1955; Jonker and Volgenant 1987; the rectangular form of
 * Crouse 2016). `costs` is row-major [rows, columns]. Of equal optima it returns the same one each time.
 * @throws CircuitscopeError `not_finite`, `shape_mismatch`
 */
export function assign(costs: ArrayLike<number>, rows: number, columns: number): Assignment {
  if (costs.length !== rows * columns) {
    throw new CircuitscopeError(
      'shape_mismatch',
      `A table of ${rows} × ${columns} costs has ${costs.length} entries.`,
      {
        expected: String(rows * columns),
        got: String(costs.length),
      },
    );
  }
  for (let at = 0; at < costs.length; at++) {
    if (!Number.isFinite(costs[at]))
      throw new CircuitscopeError('not_finite', `The cost at index ${at} is ${costs[at]}; costs are finite numbers.`, {
        at: `[${at}]`,
      });
  }
  if (rows <= columns) return solve((row, column) => costs[row * columns + column] as number, rows, columns);
  const flipped = solve((column, row) => costs[row * columns + column] as number, columns, rows);
  const result = new Array<number>(rows).fill(-1);
  flipped.columns.forEach((row, column) => {
    result[row] = column;
  });
  return { columns: result, cost: flipped.cost };
}

/** At most as many rows as columns. */
function solve(cost: (row: number, column: number) => number, rows: number, columns: number): Assignment {
  const rowPrice = new Float64Array(rows);
  const columnPrice = new Float64Array(columns);
  const rowOf = new Array<number>(columns).fill(-1);
  for (let start = 0; start < rows; start++) {
    // Dijkstra over reduced costs from the free row to the nearest free column.
    const distance = new Float64Array(columns).fill(Number.POSITIVE_INFINITY);
    const before = new Array<number>(columns).fill(-1);
    const done = new Array<boolean>(columns).fill(false);
    let row = start;
    let from = -1;
    let reached = 0;
    let end = -1;
    while (end < 0) {
      let next = -1;
      for (let column = 0; column < columns; column++) {
        if (done[column]) continue;
        const through = reached + cost(row, column) - (rowPrice[row] as number) - (columnPrice[column] as number);
        if (through < (distance[column] as number)) {
          distance[column] = through;
          before[column] = from;
        }
        if (next < 0 || (distance[column] as number) < (distance[next] as number)) next = column;
      }
      reached = distance[next] as number;
      done[next] = true;
      from = next;
      if (rowOf[next] === -1) end = next;
      else row = rowOf[next] as number;
    }
    rowPrice[start] = (rowPrice[start] as number) + reached;
    for (let column = 0; column < columns; column++) {
      if (!done[column] || column === end) continue;
      const slack = reached - (distance[column] as number);
      columnPrice[column] = (columnPrice[column] as number) - slack;
      const owner = rowOf[column] as number;
      rowPrice[owner] = (rowPrice[owner] as number) + slack;
    }
    for (let column = end; column >= 0; ) {
      const previous = before[column] as number;
      rowOf[column] = previous < 0 ? start : (rowOf[previous] as number);
      column = previous;
    }
  }
  const result = new Array<number>(rows).fill(-1);
  let total = 0;
  rowOf.forEach((row, column) => {
    if (row < 0) return;
    result[row] = column;
    total += cost(row, column);
  });
  return { columns: result, cost: total };
}
