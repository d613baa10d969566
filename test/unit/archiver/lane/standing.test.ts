import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Delivery } from '../../../../src/archiver/delivery/delivery.ts';
import type { ArchiverDeps } from '../../../../src/archiver/deps.ts';
import type { Lane } from '../../../../src/archiver/lane/lane.ts';
import { beginQuestion, divergence, takeStandings } from '../../../../src/archiver/lane/standing.ts';
import { parseLsn } from '../../../../src/postgres/lsn.ts';
import type { RemoteShell } from '../../../../src/system/ssh.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

const mark = { timeline: 1, lsn: parseLsn('0/5000060'), by: 'beta' };
const answer = { mark: '1 0/5000060 beta', standing: 'diverged', moved: [] };

/** A standby that has replayed past the mark, and says so. */
function standbyOf(directory: string) {
  const clock = { now: 1_000_000 };
  const log = { debug: () => undefined };
  const now = () => clock.now;
  const deps = { log, now, monotonicMs: now } as unknown as ArchiverDeps;
  const lane = { name: 's1', leftFile: join(directory, 's1.left'), unnoted: {} } as unknown as Lane;
  const start: RemoteShell['start'] = (_, { onLine }) => {
    onLine(`answer: ${JSON.stringify(answer)}`);
    const nothing = () => undefined;
    const ended = Promise.resolve({ kind: 'exited', code: 0, stderr: '' });
    return { close: nothing, kill: nothing, ended } as unknown as ReturnType<RemoteShell['start']>;
  };
  const delivery = {
    shell: { start, target: { what: 'the standby' } },
    place: { systemIdentifier: '42' },
    standby: { name: 's1' },
    sentinel: { command: { program: '/p', iniFile: '/i' } },
    undecided: [mark],
    ownPast: { declared: [mark] },
  } as unknown as Delivery;
  const ask = async () => (await beginQuestion(deps, lane, delivery, 5_000)).answer;
  return { clock, ask, deps, lane, delivery };
}

describe('the question how far a standby has come', () => {
  test('is noted, with space for the next time, and not repeated at once', async () => {
    const directory = temporaryDirectory();
    const { ask, clock, deps, lane, delivery } = standbyOf(directory);
    const standings = await ask();
    expect(await takeStandings(deps, lane, delivery, standings)).toMatchObject({ kind: 'diverged' });
    expect(await divergence(lane, [mark])).toMatchObject({ kind: 'diverged' });
    expect(existsSync(join(directory, '.s1.left.spare'))).toBe(true);
    // Another process.
    expect(await standbyOf(directory).ask()).toEqual([]);
    clock.now += 20_000;
    expect(await ask()).toEqual([{ mark, standing: 'diverged' }]);
  });

  test('stops nothing where the disk takes nothing, and its answer counts all the same', async () => {
    const { ask, clock, deps, lane, delivery } = standbyOf(join(temporaryDirectory(), 'missing'));
    const standings = await ask();
    expect(await takeStandings(deps, lane, delivery, standings)).toMatchObject({ kind: 'diverged' });
    expect(await ask()).toEqual([]);
    clock.now += 20_000;
    expect(await ask()).toEqual(standings);
  });
});
