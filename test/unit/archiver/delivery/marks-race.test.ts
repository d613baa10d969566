import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { readAnswers } from '../../../../src/archiver/delivery/answers.ts';
import { parseLsn } from '../../../../src/postgres/lsn.ts';
import { markLeft } from '../../../../src/standby/archive/mark-left.ts';
import type { StandbyDeps } from '../../../../src/standby/deps.ts';
import { runCommand } from '../../../../src/system/command.ts';
import { formatSentinel } from '../../../../src/system/sentinel.ts';
import { commitScript, helloScript, inboxOf } from '../../../../src/verbs/scripts/delivery.ts';
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

/** Runs a script as a lane does, and kills it after `killMs`. Programs in `bin` come before those of the system. */
async function run(script: string, killMs?: number, bin?: string): Promise<readonly string[]> {
  const { PATH = '' } = process.env;
  const env = { ...process.env, PATH: bin === undefined ? PATH : `${bin}:${PATH}` };
  // A process group of its own: without it, an "ln" that the shell has started would outlive the shell.
  const shell = spawn('sh', { stdio: ['pipe', 'pipe', 'ignore'], env, detached: true });
  let output = '';
  shell.stdout.on('data', (data: Buffer) => (output += data.toString()));
  // The shell may be dead before it has read all of it.
  shell.stdin.on('error', () => undefined);
  shell.stdin.end(script);
  const ended = new Promise((resolve) => shell.on('close', resolve));
  if (killMs !== undefined) {
    await sleep(killMs);
    if (shell.pid !== undefined && shell.exitCode === null) process.kill(-shell.pid, 'SIGKILL');
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

/** Commits while another process does something: between the first look at the sentinel and the links. */
async function commitWhile(
  { at }: ReturnType<typeof prepare>,
  meanwhile: string,
  { known = [], ln }: { readonly known?: readonly string[]; readonly ln?: string } = {},
): Promise<readonly string[]> {
  const bin = temporaryDirectory();
  const add = (program: string, lines: string): void => {
    writeFileSync(join(bin, program), `#!/bin/sh\n${lines}\n`);
    chmodSync(join(bin, program), 0o755);
  };
  // The script flushes the files before it links them.
  add('sync', `[ -e "${bin}/once" ] || { : > "${bin}/once"; ${meanwhile}; }`);
  if (ln !== undefined) add('ln', ln);
  const files = names.map((name) => ({ name, size: segmentBytes }));
  return run(commitScript(at, files, known), undefined, bin);
}

function asideIn(archivedir: string): readonly string[] {
  const directories = readdirSync(archivedir).filter((name) => /^\.left-1-\d{8}T\d{6}-r1$/.test(name));
  return directories.flatMap((name) => readdirSync(join(archivedir, name))).sort();
}

describe('a mark that comes while files get their names', () => {
  const addMark = (text: string) => `echo 'left: ${text}' >> .pitrtools`;

  test('moves aside what was stored behind the fork, and only that', async () => {
    const prepared = prepare(0);
    const { archivedir } = prepared.at;
    expect(await commitWhile(prepared, addMark('1 0/400060 beta'))).toEqual(['marks-changed']);
    expect(held(archivedir)).toEqual(names.slice(0, 1));
    expect(asideIn(archivedir)).toEqual(names.slice(1));
  });

  test.each([
    ['of another timeline', addMark('2 0/400060 beta'), []],
    ['that is taken back', `sed -i /^left/d .pitrtools`, ['1 0/900060 beta']],
    ['that cannot be read', addMark('1 x/y beta'), []],
  ])('moves nothing aside if it is one %s', async (_, meanwhile, known) => {
    const prepared = prepare(0);
    const { archivedir } = prepared.at;
    const sentinel = join(archivedir, '.pitrtools');
    writeFileSync(
      sentinel,
      `${readFileSync(sentinel, 'utf8')}${known.map((mark) => `left: ${mark}\n`).join('')}`,
    );
    expect(await commitWhile(prepared, meanwhile, { known })).toEqual(['marks-changed']);
    expect(held(archivedir)).toEqual(names);
    expect(asideIn(archivedir)).toEqual([]);
  });

  test('leaves a file where it is that another sender may have had confirmed', async () => {
    const prepared = prepare(1);
    const { archivedir } = prepared.at;
    expect(await commitWhile(prepared, addMark('1 0/300060 beta'))).toEqual(['marks-changed']);
    expect(held(archivedir)).toEqual(names.slice(1, 2));
    expect(asideIn(archivedir)).toEqual(names.filter((_, index) => index !== 1));
  });

  test('moves aside what was linked before the links failed', async () => {
    const prepared = prepare(0);
    const { archivedir } = prepared.at;
    // All at once it links one file only.
    const ln = `[ $# -le 2 ] || { /bin/ln "$1" .; exit 1; }\nexec /bin/ln "$@"`;
    expect(await commitWhile(prepared, addMark('1 0/300060 beta'), { ln })).toEqual(['marks-changed']);
    expect(held(archivedir)).toEqual([]);
    expect(asideIn(archivedir)).toEqual(names);
  });
});
