// How benchmarks write times, rates and shares: three significant digits, with the unit that keeps them short.

function short(value: number): string {
  return String(Number(value.toPrecision(3)));
}

export function rateText(perSecond: number | undefined, unit: string): string {
  if (perSecond === undefined) return '';
  for (const [prefix, size] of [
    ['T', 1e12],
    ['G', 1e9],
    ['M', 1e6],
  ] as const) {
    if (perSecond >= size) return `${short(perSecond / size)} ${prefix}${unit}/s`;
  }
  return `${short(perSecond)} ${unit}/s`;
}

export function timeText(ns: number): string {
  for (const [unit, size] of [
    ['s', 1e9],
    ['ms', 1e6],
    ['µs', 1e3],
  ] as const) {
    if (ns >= size) return `${short(ns / size)} ${unit}`;
  }
  return `${short(ns)} ns`;
}

export const percentText = (share: number | undefined): string =>
  share === undefined ? '' : `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;

export function bytesText(bytes: number): string {
  for (const [unit, size] of [
    ['GiB', 2 ** 30],
    ['MiB', 2 ** 20],
    ['KiB', 2 ** 10],
  ] as const) {
    if (bytes >= size) return `${short(bytes / size)} ${unit}`;
  }
  return `${bytes} B`;
}
