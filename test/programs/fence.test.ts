import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { writeScript } from '../harness/host.ts';
import { refusedPort } from '../harness/network.ts';
import { clientProgram, outerMajors, serverProgram } from '../harness/postgres-programs.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { archiveRows, countRows, expectExit, makePair, type Pair } from './standby-kit.ts';

interface FencedPair extends Pair {
  /** A path on the standby's host. */
  readonly at: (name: string) => string;
  /** Sets action_fence to this text. */
  readonly fence: (body: string) => void;
}

async function startedPair(world: World): Promise<FencedPair> {
  const pair = await makePair(world, { ini: { failover_probe_timeout: 20 } });
  const { standby } = pair;
  expectExit(await world.cmdStandby(standby, ['-S']), 0);
  await archiveRows(pair, 100);
  const at = (name: string) => join(standby.host.directory, name);
  const fence = (body: string) => {
    standby.writeIni({ action_fence: writeScript(standby.host, 'fence.sh', body) });
  };
  return { ...pair, at, fence };
}

/** The primary lives, and neither its port nor its ssh can be reached from the standby. */
async function isolate({ primary, standby }: Pair): Promise<void> {
  const { port } = await refusedPort(primary.host.address);
  standby.writeIni({ port });
  await primary.host.sshd.kill();
}

describe.each(outerMajors())('action_fence on PostgreSQL %i', (major) => {
  test.override({ major });

  test('ends a primary that lives beyond a broken network, before the standby is promoted', async ({
    world,
  }) => {
    const pair = await startedPair(world);
    const { primary, standby, at, fence } = pair;
    await isolate(pair);
    fence(`env | grep '^PITRTOOLS_' | grep -v -e '^PITRTOOLS_TEST_' -e '^PITRTOOLS_NODE=' | sort > '${at('facts')}'; echo "$1" > '${at('argument')}'
'${clientProgram('psql')}' -h '${join(standby.host.directory, 'run')}' -p ${standby.port} -d postgres -Atc 'SELECT pg_is_in_recovery()' > '${at('recovering')}'
exec '${serverProgram(major, 'pg_ctl')}' stop -D '${primary.pgdata}' -m immediate`);

    const plan = await world.cmdStandby(standby, ['-F999', '--dry-run']);
    expectExit(plan, 0);
    expect(plan.stdout).toMatch(/^1\. run action_fence, for at most 60 s: .*fence\.sh$/m);
    expect(existsSync(at('facts'))).toBe(false);

    const run = await world.cmdStandby(standby, ['-F999']);
    expectExit(run, 0);
    expect(run.stderr).toContain('this does not prove that it is down: action_fence is to make sure of it');
    expect(primary.isRunning()).toBe(false);
    expect(readFileSync(at('recovering'), 'utf8')).toBe('t\n');
    const facts = Object.fromEntries(
      readFileSync(at('facts'), 'utf8')
        .split('\n')
        .filter(Boolean)
        .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    );
    expect(Object.keys(facts)).toEqual(
      'ACTION ARCHIVEDIR LIVENESS MESSAGE PGDATA PRIMARY PROGRAM REASON REPEATED STANDBY'
        .split(' ')
        .map((name) => `PITRTOOLS_${name}`),
    );
    expect(facts).toMatchObject({
      PITRTOOLS_ACTION: 'failover',
      PITRTOOLS_LIVENESS: 'unreachable',
      PITRTOOLS_PRIMARY: primary.host.address,
      PITRTOOLS_PGDATA: standby.pgdata,
      PITRTOOLS_REPEATED: 'no',
    });
    expect(facts['PITRTOOLS_REASON']).toMatch(/^the primary cannot be reached \(.*ECONNREFUSED/);
    expect(readFileSync(at('argument'), 'utf8')).toBe(`${facts['PITRTOOLS_MESSAGE'] ?? ''}\n`);
    expect(run.stdout).toContain('The old primary was not seen, and action_fence has succeeded.');
    expect(run.stdout).toContain("This server has taken the old primary's role");
    expect(await countRows(standby)).toBe(100);
    expect(standby.failoverActions()).toBe(1);
  });
});

describe('action_fence', () => {
  test('that fails, or does not end, refuses the failover; --force=fence continues', async ({ world }) => {
    const { primary, standby, at, fence } = await startedPair(world);
    await primary.kill9();
    fence('echo no such outlet >&2; exit 3');
    const failed = await world.cmdStandby(standby, ['-F999']);
    expectExit(failed, 4);
    expect(failed.stderr).toContain(
      'ERROR: action_fence has failed: exit status 3: no such outlet; nothing was changed\n',
    );
    expect(failed.stderr).toContain('--force=fence continues anyway: if the old primary is alive');
    expect(await standby.inRecovery()).toBe(true);

    standby.writeIni({ fence_timeout: 1 });
    fence(`echo "$PITRTOOLS_LIVENESS $PITRTOOLS_REPEATED" > '${at('facts')}'; exec sleep 50`);
    const late = await world.cmdStandby(standby, ['-F999']);
    expectExit(late, 4);
    expect(late.stderr).toContain('action_fence has failed: no end within 1 s; nothing was changed');
    expect(late.ms).toBeLessThan(15_000);
    expect(readFileSync(at('facts'), 'utf8')).toBe('dead yes\n');
    expect(await standby.inRecovery()).toBe(true);
    expect(standby.failoverActions()).toBe(0);

    const forced = await world.cmdStandby(standby, ['-F999', '--force=fence']);
    expectExit(forced, 0);
    expect(forced.stderr).toContain(
      'WARNING: action_fence has failed: no end within 1 s; continuing anyway (--force=fence)',
    );
    expect(await standby.inRecovery()).toBe(false);
    expect(forced.stdout).toContain('The old primary was found dead.');
    expect(readFileSync(join(standby.pgdata, 'pitrtools.json'), 'utf8')).not.toContain('isFenceBegun');
  });

  test('whose cmd_standby is killed runs to its end, and then once more before the promotion', async ({
    world,
  }) => {
    const { primary, standby, at, fence } = await startedPair(world);
    await primary.kill9();
    fence(`echo "$PITRTOOLS_REPEATED" >> '${at('runs')}'; until [ -e '${at('release')}' ]; do sleep 0.05; done
echo end >> '${at('runs')}'`);
    const first = world.startStandby(standby, ['-F999']);
    await eventually(() => existsSync(at('runs')), { what: 'the fence' });
    first.signal('SIGKILL');
    await first.finished;

    const second = world.startStandby(standby, ['-F999']);
    await eventually(() => second.output().includes('action_fence of an earlier run still runs'));
    expect(readFileSync(at('runs'), 'utf8')).toBe('no\n');
    expect(await standby.inRecovery()).toBe(true);
    writeFileSync(at('release'), '');
    expectExit(await second.finished, 0);
    expect(readFileSync(at('runs'), 'utf8')).toBe('no\nend\nyes\nend\n');
    expect(await standby.inRecovery()).toBe(false);
  });

  test('is not run beside a living primary, unless the failover takes its role; then it must end it', async ({
    world,
  }) => {
    const { primary, standby, at, fence } = await startedPair(world);
    fence(`echo "$PITRTOOLS_LIVENESS" >> '${at('runs')}'`);
    expectExit(await world.cmdStandby(standby, ['-F999']), 4);
    expect(existsSync(at('runs'))).toBe(false);

    const taking = ['-F999', '--force=primary-alive', '--take-role'];
    const useless = await world.cmdStandby(standby, taking);
    expectExit(useless, 4);
    expect(useless.stderr).toContain('action_fence has failed: it exited 0, but the primary is alive: ');
    expect(readFileSync(at('runs'), 'utf8')).toBe('alive\n');
    expect(await standby.inRecovery()).toBe(true);

    const beside = await world.cmdStandby(standby, ['-F999', '--force=primary-alive']);
    expectExit(beside, 0);
    expect(beside.stderr).toContain(
      "WARNING: action_fence is not run: this failover does not take the primary's role, because the old primary is alive",
    );
    expect(readFileSync(at('runs'), 'utf8')).toBe('alive\n');
    expect(primary.isRunning()).toBe(true);
  });
});
