import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { judgeLinks, linksScript } from '../../../src/check/links.ts';
import { temporaryDirectory } from '../system/temporary.ts';

function walk(path: string): string[] {
  return execFileSync('/bin/sh', ['-c', linksScript(path)], { encoding: 'utf8' })
    .trimEnd()
    .split('\n');
}

test('links are followed to the end, also those behind other links', () => {
  const directory = temporaryDirectory();
  const at = (name: string) => join(directory, name);
  mkdirSync(at("it's a/wal"), { recursive: true });
  symlinkSync("it's a", at('second'));
  symlinkSync(join('..', directory.split('/').at(-1) ?? '', 'second', 'wal'), at('first'));
  symlinkSync(at('loop'), at('loop'));
  const uid = String(process.getuid?.());
  const ours = walk(at('first')).filter((line) => line.includes(directory));
  expect(ours).toEqual([`link ${uid} ${at('first')}`, `link ${uid} ${at('second')}`]);
  expect(walk(at('first'))).toContain('walked');
  expect(walk(at('absent/below'))).toContain('walked');
  expect(walk(at('loop'))).not.toContain('walked');
});

test.each<[readonly string[], string]>([
  [['me 5', 'walked'], 'ok'],
  [['me 5', 'link 0 /a', 'link 5 /b', 'walked'], 'ok'],
  [['me 5', 'link 0 /a', 'link 6 /b', 'walked'], 'failed'],
  [['me 5', 'link 0 /a'], 'unknown'],
  [['walked'], 'unknown'],
  [[], 'unknown'],
])('what was seen on the way, %j, is %s', (lines, result) => {
  expect(judgeLinks('archivedir', '/a/b', lines)).toMatchObject({ result });
});
