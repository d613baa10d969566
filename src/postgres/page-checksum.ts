/**
 * Checksums of data pages (`src/include/storage/checksum_impl.h`, from 9.3 on): 32 sums side by side, each an FNV-1a
 * over every 32nd word of the page and two words of zeros, with the sum's high bits mixed in once more; the sums and the
 * page's number are combined by exclusive or. The machine's own byte order counts, as it does for the server.
 */

/**
 * Offsets in the page header (`src/include/storage/bufpage.h`), in bytes from its start: LSN 0, checksum 8, upper 14.
 */
const checksumOffset = 8;
const upperOffset = 14;
const lanes = 32;
const prime = 16_777_619;

// Any different numbers would do, but every page on disk was written with these.
const starts = Int32Array.from(
  (
    '5b1f36e9 b8525960 02ab50aa 1de66d2a 79ff467a 9bb9f8a3 217e7cd2 83e13d2c f8d4474f e39eb970 42c6ae16 993216fa ' +
    '7b093b5d 98daff3c f718902a 0b1c9cdb e58f764b 187636bc 5d7b3bb1 e73de7de 92bec979 cca6c0b2 304a0979 85aa43d4 ' +
    '783125bb 6ca8eaa2 e407eac6 4b5cfc3e 9fbf8c76 15ca20be f2ca9fd3 959bd756'
  ).split(' '),
  (word) => Number.parseInt(word, 16) | 0,
);

/** Two words of zeros end each sum. */
function finish(sum: number): number {
  const next = Math.imul(sum, prime) ^ (sum >>> 17);
  return Math.imul(next, prime) ^ (next >>> 17);
}

/**
 * We compute eight of the sums at a time. Each is a variable of its own and the loop calls no function, which keeps
 * the sums in the processor's registers: an array of sums, or a function for the step, takes several times as long.
 */
function eightSums(words: Int32Array, lane: number): number {
  let s0 = starts[lane] as number;
  let s1 = starts[lane + 1] as number;
  let s2 = starts[lane + 2] as number;
  let s3 = starts[lane + 3] as number;
  let s4 = starts[lane + 4] as number;
  let s5 = starts[lane + 5] as number;
  let s6 = starts[lane + 6] as number;
  let s7 = starts[lane + 7] as number;
  for (let place = lane; place < words.length; place += lanes) {
    s0 ^= words[place] as number;
    s0 = Math.imul(s0, prime) ^ (s0 >>> 17);
    s1 ^= words[place + 1] as number;
    s1 = Math.imul(s1, prime) ^ (s1 >>> 17);
    s2 ^= words[place + 2] as number;
    s2 = Math.imul(s2, prime) ^ (s2 >>> 17);
    s3 ^= words[place + 3] as number;
    s3 = Math.imul(s3, prime) ^ (s3 >>> 17);
    s4 ^= words[place + 4] as number;
    s4 = Math.imul(s4, prime) ^ (s4 >>> 17);
    s5 ^= words[place + 5] as number;
    s5 = Math.imul(s5, prime) ^ (s5 >>> 17);
    s6 ^= words[place + 6] as number;
    s6 = Math.imul(s6, prime) ^ (s6 >>> 17);
    s7 ^= words[place + 7] as number;
    s7 = Math.imul(s7, prime) ^ (s7 >>> 17);
  }
  return (
    finish(s0) ^ finish(s1) ^ finish(s2) ^ finish(s3) ^ finish(s4) ^ finish(s5) ^ finish(s6) ^ finish(s7)
  );
}

/** A view of one page that can be checked fast; its bytes must begin at a multiple of 4 in their buffer. */
export interface PageView {
  readonly words: Int32Array;
  readonly halves: Uint16Array;
}

export function viewPage(buffer: ArrayBufferLike, offset: number, blockSize: number): PageView {
  return {
    words: new Int32Array(buffer, offset, blockSize / 4),
    halves: new Uint16Array(buffer, offset, blockSize / 2),
  };
}

/** The checksum that the page must have, given its number in its relation. Never 0. */
export function pageChecksum({ words, halves }: PageView, blockNumber: number): number {
  const place = checksumOffset / 2;
  const stored = halves[place] ?? 0;
  // While the checksum is computed, its own field counts as zero.
  halves[place] = 0;
  const sum = eightSums(words, 0) ^ eightSums(words, 8) ^ eightSums(words, 16) ^ eightSums(words, 24);
  halves[place] = stored;
  return (((sum ^ blockNumber) >>> 0) % 65_535) + 1;
}

/** `new`: allocated and never used, all zeros. */
export type PageState = 'good' | 'new' | 'bad';

export function pageState(page: PageView, blockNumber: number): PageState {
  // In a page that was used, the offset of the free space's end is not 0. An unused page must be zeros throughout.
  if (page.halves[upperOffset / 2] === 0) return page.words.every((word) => word === 0) ? 'new' : 'bad';
  return page.halves[checksumOffset / 2] === pageChecksum(page, blockNumber) ? 'good' : 'bad';
}

/** The LSN of the last WAL record that changed the page: two halves, the high one first. */
export function pageLsn({ words }: Pick<PageView, 'words'>): bigint {
  return (BigInt((words[0] as number) >>> 0) << 32n) | BigInt((words[1] ?? 0) >>> 0);
}
