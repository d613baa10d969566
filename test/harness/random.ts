import { randomInt } from 'node:crypto';

/** The seed of this run: `scripts/test --seed` sets it and prints it. */
export function testSeed(): number {
  return Number(process.env['PITRTOOLS_TEST_SEED'] ?? randomInt(1 << 30));
}

/** Numbers in [0, 1) that a seed repeats (mulberry32). */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

/** All of them; in a run without the slow files only so many, by the seed of the run. They keep their order. */
export function sampled<T>(all: readonly T[], few: number): readonly T[] {
  if ((process.env['PITRTOOLS_TEST_QUICK'] ?? '') === '') return all;
  const random = createRandom(testSeed());
  const drawn = all.map((_, index) => ({ index, draw: random() })).sort((a, b) => a.draw - b.draw);
  const chosen = new Set(drawn.slice(0, few).map(({ index }) => index));
  return all.filter((_, index) => chosen.has(index));
}
