import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import type { Primary } from '../harness/primary.ts';
import { familyOf } from '../harness/process-table.ts';
import { killAll } from '../harness/processes.ts';
import { createWorld, type World } from '../harness/world.ts';
import { archiveRows, countRows, expectExit, makePair } from './standby-kit.ts';

let world: World | undefined;
afterEach(async () => {
  await world?.close();
  world = undefined;
});

/** Stops all processes of a server, which the kernel still takes connections for; returns how to let them continue. */
function stall(here: World, primary: Primary): () => void {
  const family = familyOf(primary.postmaster() ?? 0);
  const goOn = (): void => {
    killAll(family, 'SIGCONT');
  };
  here.onClose(goOn);
  killAll(family, 'SIGSTOP');
  return goOn;
}

test.each(failureMajors())(
  '-F999 does not promote while ssh shows a living postmaster, although the port and psql hang, on PostgreSQL %i',
  async (major) => {
    world = await createWorld({ major });
    const pair = await makePair(world);
    const { primary, standby } = pair;
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    await archiveRows(pair, 10);
    const sentinel = () => readFileSync(join(standby.archiveDir, '.pitrtools'), 'utf8');
    const before = sentinel();
    const goOn = stall(world, primary);

    const refused = await world.cmdStandby(standby, ['-F999'], { limitMs: 120_000 });
    expectExit(refused, 4);
    expect(refused.stderr).toMatch(/its postmaster runs there \(pid \d+\)/);
    expect(await standby.inRecovery()).toBe(true);
    expect(sentinel()).toBe(before);
    expect(standby.failoverActions()).toBe(0);

    goOn();
    await archiveRows(pair, 20);
    await eventually(async () => (await countRows(standby)) === 20);
  },
);
