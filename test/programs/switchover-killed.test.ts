import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { writeScript } from '../harness/host.ts';
import { serverProgram } from '../harness/postgres-programs.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { expectExit } from './standby-kit.ts';
import {
  appears,
  type Duo,
  expectTurned,
  insertRows,
  isPrimary,
  makeDuo,
  stateOf,
} from './switchover-kit.ts';

/** A command that leaves a trace and then waits, so that a test can interrupt at this moment. */
function pausing({ host }: Duo['heir'], name: string, command: string): { script: string; trace: string } {
  const trace = join(host.directory, `${name}.trace`);
  return {
    trace,
    script: writeScript(
      host,
      name,
      `if [ ! -e '${trace}.go' ]; then sleep 60 & touch '${trace}'; wait $!; fi; ${command}`,
    ),
  };
}

/** From now on the command does its work at once. */
function letGo(trace: string): void {
  writeFileSync(`${trace}.go`, '');
}

async function killAt(world: World, heir: Duo['heir'], trace: string): Promise<void> {
  const run = world.startStandby(heir, ['--switchover']);
  await appears(trace);
  run.killFamily();
  await run.finished;
}

describe('--switchover killed', () => {
  test(
    'while the primary is stopped, is finished by the next call; nobody can start two primaries meanwhile',
    { timeout: 240_000 },
    async ({ world }) => {
      const duo = await makeDuo(world, { streams: false });
      const { old, heir } = duo;
      await insertRows(old, 100);
      const { script, trace } = pausing(heir, 'rsync', 'exec /usr/bin/rsync "$@"');
      heir.writeIni({ rsync: script });
      await killAt(world, heir, trace);
      letGo(trace);
      expect(stateOf(old)).toBe('shut-down');
      // A supervisor may start it at any moment.
      await old.start();
      expect(await isPrimary(old)).toBe(false);
      const second = await world.cmdStandby(heir, ['--switchover']);
      expectExit(second, 0);
      expect(second.stderr).toContain('an earlier run has stopped the primary');
      await expectTurned(duo, 100);
    },
  );

  test('while it promotes, is finished by the next call', { timeout: 240_000 }, async ({ world }) => {
    const duo = await makeDuo(world, { streams: true });
    const { old, heir } = duo;
    await insertRows(old, 100);
    const promote = `'${serverProgram(world.major, 'pg_ctl')}' promote -D '${heir.pgdata}' -W`;
    const before = pausing(heir, 'before', promote);
    heir.writeIni({ promote_command: before.script });
    await killAt(world, heir, before.trace);
    expect(await heir.inRecovery()).toBe(true);
    expect(stateOf(old)).toBe('shut-down');
    const after = join(heir.host.directory, 'promoted');
    const script = writeScript(heir.host, 'after', `${promote}; sleep 60 & touch '${after}'; wait $!`);
    heir.writeIni({ promote_command: script });
    await killAt(world, heir, after);
    await eventually(() => isPrimary(heir));
    expect(stateOf(old)).toBe('shut-down');
    expectExit(await world.cmdStandby(heir, ['--switchover']), 0);
    await expectTurned(duo, 100);
  });
});
