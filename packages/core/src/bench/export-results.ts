import type { BenchResult, BenchSection, Json } from '@circuitscope/schema';

// What services that keep histories read. Only right results have a value, and none of them is compared across machines
// by these formats: give each machine a branch or testbed of its own.

type Timed = Extract<BenchResult['outcome'], { kind: 'timed' }>;

function timed(sections: readonly BenchSection[]): readonly { readonly name: string; readonly outcome: Timed }[] {
  const found = new Map<string, Timed>();
  for (const { results } of sections) {
    for (const { operation, implementation, threads, regime, outcome } of results) {
      if (outcome.kind !== 'timed') continue;
      found.set(`${operation} · ${implementation.name} · ${threads} threads · ${regime}`, outcome);
    }
  }
  return [...found].map(([name, outcome]) => ({ name, outcome }));
}

/** For github-action-benchmark, tool `customSmallerIsBetter`. */
export function exportGithub(sections: readonly BenchSection[]): Json {
  return timed(sections).map(({ name, outcome: { medianNs, iqrNs, samplesNs, shareOfLoop } }) => ({
    name,
    unit: 'ns',
    value: medianNs,
    range: `± ${(iqrNs / 2).toFixed(0)}`,
    extra: `${samplesNs.length} samples${shareOfLoop ? `, ${(100 * shareOfLoop.value).toFixed(1)} % of the multiply-add loop` : ''}`,
  }));
}

/** Bencher Metric Format: latency between the quartiles' distance, and the share of the measured peak where there is one. */
export function exportBencher(sections: readonly BenchSection[]): Json {
  return Object.fromEntries(
    timed(sections).map(({ name, outcome: { medianNs, iqrNs, minNs, shareOfLoop } }) => [
      name,
      {
        latency: {
          value: medianNs,
          lower_value: Math.max(minNs, medianNs - iqrNs / 2),
          upper_value: medianNs + iqrNs / 2,
        },
        ...(shareOfLoop
          ? {
              'share-of-peak': {
                value: shareOfLoop.value,
                ...(shareOfLoop.interval
                  ? { lower_value: shareOfLoop.interval[0], upper_value: shareOfLoop.interval[1] }
                  : {}),
              },
            }
          : {}),
      },
    ]),
  );
}
