import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { BackupContext } from '../../../../../../src/standby/actions/base-backup/context.ts';
import { bringHistory } from '../../../../../../src/standby/actions/base-backup/pgdata/history.ts';
import type { RemoteWork } from '../../../../../../src/system/ssh.ts';
import { scriptOf } from '../../../../remote-work.ts';
import { temporaryDirectory } from '../../../../system/temporary.ts';
import { backupFacts, localPlace } from '../facts-kit.ts';

/** The primary's host is this one. */
function backupOf(timeline: number) {
  const directory = temporaryDirectory();
  const [there, pgdata] = [join(directory, 'there'), join(directory, 'here')];
  for (const each of [there, pgdata]) mkdirSync(join(each, 'pg_wal'), { recursive: true });
  const warnings: string[] = [];
  const facts = backupFacts({ place: localPlace({ pgdata }), position: { timeline, lsn: 0x3000000n } });
  const run = (work: RemoteWork) => {
    const { status, stdout } = spawnSync('sh', ['-c', scriptOf(work)], { encoding: 'utf8' });
    return Promise.resolve({ kind: 'done', status, lines: stdout.split('\n') });
  };
  const context = {
    deps: { signal: new AbortController().signal, log: { warning: (line: string) => warnings.push(line) } },
    primary: {
      shell: { run, target: { what: 'the primary', host: 'hosta', user: 'postgres' } },
      facts: { ...facts.primary, dataDirectory: there },
    },
    facts,
  } as unknown as BackupContext;
  const file = (pgdataOfIt: string) => join(pgdataOfIt, 'pg_wal', '00000003.history');
  return { context, warnings, there: file(there), here: file(pgdata) };
}

test('the copy has the history of its timeline before any archive brings it', async () => {
  const { context, there, here } = backupOf(3);
  const text = '1\t0/2000000\tno recovery target specified\n\n2\t0/2800000\tno recovery target specified\n';
  writeFileSync(there, text);
  await bringHistory(context);
  expect(readFileSync(here, 'utf8')).toBe(text);
});

test('the first timeline has no history', async () => {
  const { context, warnings, here } = backupOf(1);
  await bringHistory(context);
  expect(existsSync(here)).toBe(false);
  expect(warnings).toEqual([]);
});

test('a history that cannot be read, or is none, is not taken, and said', async () => {
  const { context, warnings, there, here } = backupOf(3);
  await bringHistory(context);
  writeFileSync(there, 'nonsense\n');
  await bringHistory(context);
  expect(existsSync(here)).toBe(false);
  expect(warnings).toEqual([
    expect.stringContaining(
      'the copy has no 00000003.history of its own before the archive brings it: cannot read',
    ),
    expect.stringContaining('00000003.history'),
  ]);
});
