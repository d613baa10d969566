import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { StandbyDeps } from '../../../../src/standby/deps.ts';
import type { OwnPlace } from '../../../../src/standby/follow/lineage.ts';
import { describeOnlyQueued, observeOnlyQueued } from '../../../../src/standby/rejoin/queued.ts';
import { temporaryDirectory } from '../../system/temporary.ts';
import { controlFile, dataDirectory } from '../standby-facts.ts';

const there = {
  timeline: 2,
  history: [{ timeline: 1, end: { kind: 'lsn', lsn: 0x5000100n } }],
  lsn: 0x6000000n,
} as const;
const own: OwnPlace = { timeline: 1, lsn: 0x9000100n, isRecordStart: false, history: undefined };
const segment = (number: number) => `00000001000000000000000${number}`;

test('WAL of nobody that pg_wal has no more is named with the queue that has it', async () => {
  const folder = temporaryDirectory();
  const archiver_ini = join(folder, 'cmd_archiver.ini');
  writeFileSync(
    archiver_ini,
    `[DEFAULT]\npgdata: ${folder}/data\nslaves: s1, s2\nr_archivedir: /a\nl_archivedir: ${folder}/queues\n`,
  );
  const files = {
    s1: [segment(4), segment(5), `${segment(6)}.zst`, `${segment(7)}.partial`],
    s2: [segment(6), segment(8), '00000002.history'],
  };
  for (const [name, queued] of Object.entries(files)) {
    mkdirSync(join(folder, 'queues', name), { recursive: true });
    for (const file of queued) writeFileSync(join(folder, 'queues', name, file), '');
  }
  const deps = { settings: { archiver_ini }, iniFile: join(folder, 'cmd_standby.ini') } as StandbyDeps;
  const directory = dataDirectory('15', { control: controlFile({ state: 'in-production' }) });
  const unsent = [{ name: segment(8), to: 'diverged', isTail: true } as const];
  const found = await observeOnlyQueued(deps, directory, own, there, unsent);
  expect(found).toEqual({
    names: [segment(5), segment(6)],
    queues: ['s1', 's2'].map((name) => join(folder, 'queues', name)),
  });
  if (found === undefined) return;
  expect(describeOnlyQueued(found)).toContain(`2 segments of it from ${segment(5)} to ${segment(6)}`);
  expect(
    await observeOnlyQueued(
      deps,
      directory,
      own,
      { ...there, history: [{ timeline: 1, end: { kind: 'lsn', lsn: 0x9000100n } }] },
      unsent,
    ),
  ).toBeUndefined();
});
