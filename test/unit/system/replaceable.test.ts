import { readFileSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { replaceDurably, reserveSpare } from '../../../src/system/replaceable.ts';
import { temporaryDirectory } from './temporary.ts';

describe('a file that is replaced', () => {
  test('is read back except for spaces at its end, and has a spare of a whole block', async () => {
    const path = join(temporaryDirectory(), 'state.json');
    await replaceDurably(path, '{"a": 1}\n');
    expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({ a: 1 });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(join(path, '..', '.state.json.spare')).size).toBe(4096);
  });

  test('can be longer than the reserved space', async () => {
    const path = join(temporaryDirectory(), 'state.json');
    const long = JSON.stringify({ a: 'x'.repeat(10_000) });
    await replaceDurably(path, long);
    expect(readFileSync(path, 'utf8').trimEnd()).toBe(long);
  });

  test('gets its spare back if a run was killed between its two renames', async () => {
    const path = join(temporaryDirectory(), 'state.json');
    await replaceDurably(path, '{}');
    const spare = join(path, '..', '.state.json.spare');
    renameSync(spare, `${spare}.old`);
    await reserveSpare(path);
    expect(statSync(spare).size).toBe(4096);
  });
});
