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
  hasRows,
  insertRows,
  isPrimary,
  makeDuo,
  record,
  stateOf,
  watchPrimaries,
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
    { timeout: 480_000 },
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
      // A refusal names the way back: nobody takes writes.
      await heir.sql('SELECT pg_wal_replay_pause()');
      const refused = await world.cmdStandby(heir, ['--switchover']);
      expectExit(refused, 4);
      expect(refused.stderr).toMatch(
        /To have the old primary back instead.*--serve 'resume-primary 1 \d+ \w+'/,
      );
      await heir.sql('SELECT pg_wal_replay_resume()');
      const second = await world.cmdStandby(heir, ['--switchover']);
      expectExit(second, 0);
      expect(second.stderr).toContain('an earlier run has stopped the primary');
      await expectTurned(duo, 100);
    },
  );

  test('while it promotes, is finished by the next call', { timeout: 480_000 }, async ({ world }) => {
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
    // It has opened, and nothing has recorded that yet.
    await heir.kill9();
    const refused = await world.cmdStandby(heir, ['-S']);
    expectExit(refused, 4);
    expect(refused.stderr).toContain('--switchover starts the server and finishes it');
    expectExit(await world.cmdStandby(heir, ['--switchover']), 0);
    await expectTurned(duo, 100);
  });
});

/** rsync that waits until it is let go. */
function waiting({ host }: Duo['heir']): { script: string; trace: string } {
  const trace = join(host.directory, 'rsync.trace');
  const wait = `touch '${trace}'; while [ ! -e '${trace}.go' ]; do sleep 0.1; done`;
  return { trace, script: writeScript(host, 'rsync', `${wait}; exec /usr/bin/rsync "$@"`) };
}

test(
  'two standbys that want the role of one primary: one gets it, the other is refused, and nothing else takes it meanwhile',
  { timeout: 300_000 },
  async ({ world }) => {
    const patient = { failover_probe_timeout: 20 };
    const duo = await makeDuo(world, { streams: false, ofHeir: patient, ofOld: patient, ofOther: patient });
    const { old, oldAsStandby, heir, other } = duo;
    if (other === undefined) throw new Error('there is no other standby');
    await insertRows(old, 100);
    const watched = watchPrimaries([old, heir, other]);
    const { script, trace } = waiting(heir);
    heir.writeIni({ rsync: script });
    // It waits while the other programs of this test run.
    const first = world.startStandby(heir, ['--switchover'], { limitMs: 280_000 });
    await appears(trace);

    // Nobody takes writes now.
    const failover = await world.cmdStandby(other, ['-F999']);
    expectExit(failover, 4);
    expect(failover.stderr).toContain(`the primary was stopped for a switchover to ${heir.host.address}`);
    expect(failover.stderr).toContain(`Run --switchover on ${heir.host.address}`);
    expect(failover.stderr).toContain('--force=switchover-begun');
    other.writeIni({ ssh: '/bin/false' });
    const blind = await world.cmdStandby(other, ['-F999']);
    expectExit(blind, 4);
    expect(blind.stderr).toContain(`has begun a switchover with ${old.host.address}`);
    other.writeIni({ ssh: other.host.ssh });
    const second = await world.cmdStandby(other, ['--switchover']);
    expectExit(second, 4);
    expect(second.stderr).toContain(`by a switchover to ${heir.host.address}`);

    // Requests of another run that come late.
    const noted = record(old);
    const cluster = await heir.value('SELECT system_identifier FROM pg_control_system()');
    const serve = (verb: string) => world.cmdStandby(oldAsStandby, ['--serve', verb]);
    const stop = await serve(`stop-primary 1 ${other.host.address} ${cluster} bbbbbbb2`);
    expectExit(stop, 4);
    expect(stop.stderr).toContain(
      `was stopped for a switchover to ${heir.host.address}, not to ${other.host.address}`,
    );
    const resume = await serve(`resume-primary 1 ${cluster} bbbbbbb2`);
    expectExit(resume, 0);
    expect(resume.stdout).toContain(`"heldBy":"${heir.host.address}"`);
    expect(record(old)).toEqual(noted);
    expect(stateOf(old)).toBe('shut-down');

    writeFileSync(`${trace}.go`, '');
    expectExit(await first.finished, 0);
    await expectTurned(duo, 100);
    await hasRows(other, 105);

    // Both at the same moment, from the two hosts that follow by now.
    other.writeIni({ master_public_ip: heir.host.address, port: heir.port, peer_ini: heir.iniFile });
    const runs = await Promise.all(
      [oldAsStandby, other].map((standby) => world.cmdStandby(standby, ['--switchover'])),
    );
    const said = runs.map(({ code, stdout, stderr }) => `${code} ${stdout}${stderr}`).join('\n');
    const [isOld, isHeir, isOther] = await Promise.all([old, heir, other].map((each) => isPrimary(each)));
    expect([isOld, isHeir, isOther].filter(Boolean), said).toHaveLength(1);
    expect(isHeir, said).toBe(false);
    const [winner, loser] = isOld === true ? [oldAsStandby, runs[1]] : [other, runs[0]];
    expect(loser?.code, said).not.toBe(0);
    // The other one may have been busy with its own run when it was asked to follow.
    const won = isOld === true ? runs[0] : runs[1];
    if (won?.code !== 0) expectExit(await world.cmdStandby(winner, ['--switchover']), 0);
    expect(await watched.stop()).toBe(0);
    const primary = isOld === true ? old : other;
    await insertRows(primary, 5);
    await primary.sql('SELECT pg_switch_wal()');
    for (const each of [heir, isOld === true ? other : old]) await hasRows(each, 110);
  },
);
