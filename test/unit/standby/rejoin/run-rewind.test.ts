import { readdirSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { removeBehindFork } from '../../../../src/standby/rejoin/run-rewind.ts';
import { temporaryDirectory } from '../../system/temporary.ts';
import { controlFile, dataDirectory } from '../standby-facts.ts';

const there = {
  timeline: 3,
  history: [
    { timeline: 1, end: { kind: 'lsn', lsn: 0x5000000n } },
    { timeline: 2, end: { kind: 'lsn', lsn: 0x7000100n } },
  ],
  lsn: 0x8000000n,
} as const;
const segment = (timeline: number, number: number) => `0000000${timeline}000000000000000${number}`;

test('after pg_rewind nothing of a left timeline is there from its fork on', async () => {
  const walDirectory = temporaryDirectory();
  const rest = [
    segment(1, 3),
    segment(1, 4),
    segment(2, 6),
    segment(3, 7),
    '00000002.history',
    `${segment(1, 5)}.partial`,
  ];
  for (const name of [...rest, segment(1, 5), segment(1, 6), segment(2, 7)])
    writeFileSync(`${walDirectory}/${name}`, '');
  const directory = dataDirectory('15', { control: controlFile({ state: 'shut-down' }) });
  await removeBehindFork(directory, walDirectory, there);
  expect(readdirSync(walDirectory).sort()).toEqual([...rest].sort());
});
