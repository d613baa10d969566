import { median } from './statistics.ts';

/** The result of comparing pairs of measurements. */
export interface PairedRatio {
  readonly pairs: number;
  readonly median: number;
  /** The median lies between these with 95 % confidence; undefined with fewer than six pairs. */
  readonly interval: readonly [low: number, high: number] | undefined;
}

/**
 * Measurements that were taken in turn: the first of one list belongs to the first of the other. Undefined if a run
 * failed, because the pairs are then unknown.
 */
export function pairedRatio(ours: readonly number[], others: readonly number[]): PairedRatio | undefined {
  if (ours.length !== others.length) return undefined;
  const ratios = ours.map((value, index) => value / (others[index] ?? NaN));
  return { pairs: ratios.length, median: median(ratios), interval: medianInterval(ratios) };
}

/** By the sign test: from either end, counts off as many values as leave less than 2.5 % beyond. It assumes no distribution. */
function medianInterval(values: readonly number[]): readonly [number, number] | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  const outside = outsideCount(sorted.length);
  const low = sorted[outside - 1];
  const high = sorted[sorted.length - outside];
  return outside === 0 || low === undefined || high === undefined ? undefined : [low, high];
}

/** The largest k for which fewer than k heads in n throws of a coin have a chance of at most 2.5 %. */
function outsideCount(n: number): number {
  let chance = 0.5 ** n;
  let sum = chance;
  let k = 0;
  while (sum <= 0.025) {
    k++;
    chance *= (n - k + 1) / k;
    sum += chance;
  }
  return k;
}

export function pairedText(ratio: PairedRatio | undefined): string {
  if (ratio === undefined) return 'unknown, since a run failed';
  const { pairs, median: middle, interval } = ratio;
  const range = interval === undefined ? '' : `, 95 % ${interval.map((end) => end.toFixed(3)).join(' to ')}`;
  return `${middle.toFixed(3)} (${pairs} pairs${range})`;
}

/**
 * For a table's note: each tool that has a twin in the checkout of `--against`, with each of its figures. Empty without
 * that option.
 */
export function againstOther(
  names: readonly string[],
  figures: Readonly<Record<string, (name: string) => readonly number[]>>,
): string {
  const twins = names.filter((name) => names.includes(twinOf(name)));
  const texts = twins.map((name) => {
    const ratios = Object.entries(figures).map(
      ([figure, of]) => `${figure} ${pairedText(pairedRatio(of(name), of(twinOf(name))))}`,
    );
    return `${name}: ${ratios.join('; ')}.`;
  });
  return texts.length === 0 ? '' : ` Medians of the ratios to the other checkout: ${texts.join(' ')}`;
}

/** The same tool, run with the programs of the other checkout. */
export function twinOf(name: string): string {
  return `${name}-against`;
}
