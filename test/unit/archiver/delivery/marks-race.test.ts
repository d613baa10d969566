import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { readAnswers } from '../../../../src/archiver/delivery/answers.ts';
import { commitScript, helloScript, inboxOf } from '../../../../src/archiver/delivery/scripts.ts';
import { parseLsn } from '../../../../src/postgres/lsn.ts';
import { markLeft } from '../../../../src/standby/archive/mark-left.ts';
import type { StandbyDeps } from '../../../../src/standby/deps.ts';
import { runCommand } from '../../../../src/system/command.ts';
import { formatSentinel } from '../../../../src/system/sentinel.ts';
import { createRandom } from '../../../harness/random.ts';
import { buildWal } from '../../../harness/wal.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

const cluster = '7300000000000000001';
const mark = { timeline: 1, lsn: parseLsn('0/300060'), host: 'beta', cluster };
const segmentBytes = 1024 * 1024;
const names = [3, 4, 5, 6].map((number) => `00000001000000000000000${number}`);
const segments = names.map((name) =>
  buildWal({ name, systemIdentifier: BigInt(cluster), version: '15', segmentBytes }),
);

function prepare(round: number) {
  const archivedir = temporaryDirectory();
  const sentinel = {
    systemIdentifier: cluster,
    standby: 's',
    primaryPgdata: undefined,
    promotedAtTimeline: undefined,
    left: [],
  };
  writeFileSync(join(archivedir, '.pitrtools'), formatSentinel(sentinel));
  const lane = '.incoming/old.0123';
  const at = { archivedir, systemIdentifier: cluster, lane, run: 'r1', mode: 'store' as const };
  mkdirSync(join(archivedir, inboxOf(at)), { recursive: true });
  for (const [index, name] of names.entries())
    writeFileSync(join(archivedir, inboxOf(at), name), segments[index] ?? '');
  // In every other round one file is there already: then they are linked one by one.
  if (round % 2 === 1) writeFileSync(join(archivedir, names[1] ?? ''), segments[1] ?? '');
  const silent = () => undefined;
  let nonces = 0;
  const deps = {
    settings: { archivedir, pgdata: join(archivedir, 'none') },
    run: runCommand,
    now: () => 0,
    nonce: () => `n${(nonces += 1)}`,
    log: { debug: silent, notice: silent, warning: silent },
  } as unknown as StandbyDeps;
  return { at, deps };
}

/** Runs a script as a lane does, and kills it after `killMs`. */
async function run(script: string, killMs?: number): Promise<readonly string[]> {
  const shell = spawn('sh', { stdio: ['pipe', 'pipe', 'ignore'] });
  let output = '';
  shell.stdout.on('data', (data: Buffer) => (output += data.toString()));
  // The shell may be dead before it has read all of it.
  shell.stdin.on('error', () => undefined);
  shell.stdin.end(script);
  const ended = new Promise((resolve) => shell.on('close', resolve));
  if (killMs !== undefined) {
    await sleep(killMs);
    shell.kill('SIGKILL');
  }
  await ended;
  return output.split('\n').filter((line) => line !== '');
}

function held(archivedir: string): readonly string[] {
  return readdirSync(archivedir).filter((name) => names.includes(name));
}

test('whenever a mark comes while files get their names, none of them stays past the fork', async () => {
  const random = createRandom(20261128);
  const seen = { refused: 0, aside: 0, killed: 0 };
  for (let round = 0; round < 24; round++) {
    const { at, deps } = prepare(round);
    const files = names.map((name) => ({ name, size: segmentBytes }));
    const killMs = round % 3 === 2 ? random() * 40 : undefined;
    const committed = run(commitScript(at, files, []), killMs);
    await sleep(random() * 40);
    const answer = await markLeft(deps, mark);
    const lines = await committed;
    if (lines.includes('marks-changed')) seen.refused += 1;
    if (answer.moved.length > 0) seen.aside += 1;
    if (killMs !== undefined && held(at.archivedir).length > 0) {
      // Killed between the links and the second look: the next greeting shows it, and the mark is reported again.
      seen.killed += 1;
      const { newest } = readAnswers(await run(helloScript(at, [])), at.archivedir);
      expect(newest.map(({ text }) => text)).toEqual([held(at.archivedir).toSorted().at(-1)]);
      await markLeft(deps, mark);
    }
    expect(held(at.archivedir)).toEqual([]);
  }
  expect(seen.refused + seen.aside).toBeGreaterThan(0);
});
