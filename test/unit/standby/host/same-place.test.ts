import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { overlapOf, parsePlaces } from '../../../../src/standby/host/same-place.ts';
import { runCommand } from '../../../../src/system/command.ts';
import { placesScript } from '../../../../src/verbs/scripts/places.ts';

let root = '';
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'place-'));
  mkdirSync(join(root, "it's a dir", 'inner'), { recursive: true });
  symlinkSync(join(root, "it's a dir"), join(root, 'link'));
});
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

async function placesOf(...names: string[]) {
  const paths = names.map((name) => join(root, name));
  const result = await runCommand(
    { program: '/bin/sh', args: ['-c', placesScript(paths)] },
    { limitMs: 10_000 },
  );
  return parsePlaces(result.stdout.split('\n'), paths.length);
}

async function relate(ours: string, theirs: string) {
  const { places } = await placesOf(ours, theirs);
  const [a, b] = places;
  if (a === undefined || b === undefined) throw new Error('no places');
  return overlapOf(a, b);
}

describe('two directories of one host', () => {
  test.each([
    ["it's a dir", "it's a dir", 'same'],
    ['link', "it's a dir", 'same'],
    ['link/', "it's a dir", 'same'],
    ["it's a dir", 'link/inner', 'holds-theirs'],
    ['link/inner', "it's a dir", 'lies-in-theirs'],
    ["it's a dir/not/there/yet", 'link', 'lies-in-theirs'],
    ["it's a dir/not there", 'link/inner', undefined],
    ['other', "it's a dir", undefined],
    ["it's a dir", 'missing', undefined],
  ])('%s and %s are compared: %s', async (ours, theirs, expected) => {
    expect(await relate(ours, theirs)).toBe(expected);
  });

  test('are compared on a kernel that is named', async () => {
    expect((await placesOf('.')).kernel).toMatch(/^[0-9a-f-]{36}$/);
  });
});
