import { expect, test } from 'vitest';
import { pageChecksum, pageLsn, pageState, viewPage } from '../../../src/postgres/page-checksum.ts';

/** Page 3 of an index that PostgreSQL 15 wrote: its words that are not zero, with their places. */
const real =
  '1:11d6560 2:7301 3:1fb00024 4:20041ff0 6:109fe8 7:309fb0 8:409fc8 7ec:40000 7ed:60180001 7ee:6c5f6770 ' +
  '7ef:736b636f 7f2:20000 7f3:60200001 7f4:745f6770 7f5:7473616f 7f6:3233325f 7f7:6e695f38 7f8:786564 7fa:10000 ' +
  '7fb:20080000 7fe:1 7ff:2';

function realPage(): Int32Array {
  const words = new Int32Array(2048);
  for (const pair of real.split(' ')) {
    const [place = '', word = ''] = pair.split(':');
    words[Number.parseInt(place, 16)] = Number.parseInt(word, 16) | 0;
  }
  return words;
}

const view = (words: Int32Array) => viewPage(words.buffer, 0, words.byteLength);

test('a real page has the checksum that the server wrote, but only at its own position', () => {
  const page = view(realPage());
  expect(pageChecksum(page, 3)).toBe(0x7301);
  expect(pageState(page, 3)).toBe('good');
  expect(pageState(page, 2)).toBe('bad');
  expect(pageLsn(page)).toBe(0x11d6560n);
  // Looking changes nothing.
  expect(page.words).toEqual(realPage());
});

test('one changed bit at any position makes a page invalid', () => {
  for (let word = 0; word < 2048; word += 1) {
    const words = realPage();
    words[word] = (words[word] ?? 0) ^ (1 << (word % 32));
    expect(pageState(view(words), 3), `bit ${word % 32} of word ${word}`).toBe('bad');
  }
});

test('a page of zeros is new, and a page of zeros with a single bit is invalid', () => {
  const words = new Int32Array(2048);
  expect(pageState(view(words), 7)).toBe('new');
  words[2000] = 64;
  expect(pageState(view(words), 7)).toBe('bad');
});

test('pages of other sizes than 8 kB are checked', () => {
  for (const bytes of [1024, 32_768]) {
    const words = new Int32Array(bytes / 4).fill(0x12_0345);
    const page = view(words);
    page.halves[4] = pageChecksum(page, 1);
    expect(pageState(page, 1)).toBe('good');
  }
});
