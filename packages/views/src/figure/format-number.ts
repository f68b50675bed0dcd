// Numbers as a figure prints them.

/** Three significant digits with a true minus sign; exact small integers stay integers. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'not a number' : value > 0 ? '∞' : '−∞';
  const size = Math.abs(value);
  const digits =
    size === 0 || (Number.isInteger(value) && size < 10_000)
      ? String(size)
      : size >= 10_000 || size < 0.0005
        ? size.toExponential(2)
        : size >= 100
          ? size.toFixed(1)
          : size >= 0.1
            ? trimZeros(size.toPrecision(3))
            : trimZeros(size.toFixed(4));
  return value < 0 ? `−${digits}` : digits;
}

export function formatInterval(interval: readonly [number, number]): string {
  return `[${formatNumber(interval[0])}, ${formatNumber(interval[1])}]`;
}

function trimZeros(digits: string): string {
  return digits.includes('.') ? digits.replace(/\.?0+$/, '') : digits;
}
