// Run by scripts/sample-sentences, which describes the arguments.
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { proseOf } from './prose.js';

/** Mulberry32: numbers from 0 up to 1 that depend on the seed alone. */
function randomFrom(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The first entries of a shuffle by Fisher and Yates. */
function sample(entries, seed, count) {
  const random = randomFrom(seed);
  const rest = [...entries];
  for (let index = 0; index < Math.min(count, rest.length); index++) {
    const other = index + Math.floor(random() * (rest.length - index));
    [rest[index], rest[other]] = [rest[other], rest[index]];
  }
  return rest.slice(0, count);
}

function print(argv) {
  const [seed, count = '50'] = argv;
  if (argv.length > 2 || !/^[0-9a-f]{8}$/i.test(seed ?? '') || !/^[1-9][0-9]*$/.test(count)) {
    console.error('usage: scripts/sample-sentences SEED [NUMBER], where SEED is eight hex digits');
    return 2;
  }
  const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
  sample(proseOf(root), parseInt(seed, 16), Number(count)).forEach(({ file, line, kind, text }, index) => {
    console.log(`${index + 1}. ${file}:${line} (${kind})\n   ${text.replaceAll('\n', '\n   ')}`);
  });
  return 0;
}

process.exitCode = print(process.argv.slice(2));
