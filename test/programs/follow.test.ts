import { chmodSync, existsSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect } from 'vitest';
import { capabilitiesOf } from '../../src/postgres/capabilities.ts';
import { parseVersion } from '../../src/postgres/version.ts';
import { answerMark } from '../../src/verbs/verbs.ts';
import { eventually } from '../harness/eventually.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import type { Standby } from '../harness/standby.ts';
import { test } from '../harness/test.ts';
import { addressOf, addRows, hasRows, iniOf, makeThree, streams } from './follow-kit.ts';
import { shownEvents } from './ledger-kit.ts';
import { countRows, expectExit } from './standby-kit.ts';

function marksAt(standby: Standby): string[] {
  const text = readFileSync(join(standby.archiveDir, '.pitrtools'), 'utf8');
  return text.split('\n').filter((line) => line.startsWith('left: '));
}

describe.each(failureMajors())('a standby on PostgreSQL %i', (major) => {
  test.override({ major });

  test('that streams follows the new primary, and its INI file says so', async ({ world }) => {
    const { primary, heir, other } = await makeThree(world, { heir: streams, other: streams });
    await addRows(primary, 100);
    for (const standby of [heir, other]) await hasRows(standby, 100);
    const ini = readFileSync(other.iniFile, 'utf8').replace(
      /^(master_public_ip.*)$/m,
      '; the primary, since 2019\n$1   ; node a',
    );
    writeFileSync(other.iniFile, ini);
    chmodSync(other.iniFile, 0o640);
    await primary.kill9();
    expectExit(await world.cmdStandby(heir, ['-F999']), 0);
    await addRows(heir, 200);

    const plan = await world.cmdStandby(other, ['--follow', addressOf(heir), '--dry-run']);
    expectExit(plan, 0);
    expect(plan.stdout).toContain(`master_public_ip: ${heir.host.address}, port: ${heir.port}`);
    expect(plan.stdout).toContain(major >= 13 ? 'reload the server' : 'restart the server');
    expect(readFileSync(other.iniFile, 'utf8')).toBe(ini);

    const pid = other.postmaster();
    const run = await world.cmdStandby(other, ['--follow', addressOf(heir)]);
    expectExit(run, 0);
    expect(run.stdout).toMatch(/^Follows \S+: streams from it, timeline 2, up to LSN /m);
    expect(other.postmaster() === pid).toBe(major >= 13);
    await hasRows(other, 200);
    expect(readFileSync(other.iniFile, 'utf8')).toBe(
      ini
        .replace(primary.host.address, heir.host.address)
        .replace(new RegExp(`^(port *[:=] *)${primary.port}$`, 'm'), `$1${heir.port}`),
    );
    expect(statSync(other.iniFile).mode & 0o777).toBe(0o640);
    expect(marksAt(other)).toEqual([expect.stringMatching(/^left: 1 /)]);
    // A failover of this standby looks for the server there.
    const sentinel = readFileSync(join(other.archiveDir, '.pitrtools'), 'utf8');
    expect(sentinel).toContain(`primary_pgdata: ${heir.pgdata}\n`);

    const ofHeir = shownEvents(await world.cmdStandby(heir, ['--history', '--json']));
    expect(ofHeir.at(-1)).toMatchObject({ kind: 'promoted', by: 'failover', timeline: 2 });
    const ofOther = shownEvents(await world.cmdStandby(other, ['--history', '--json']));
    expect(ofOther.map(({ kind }) => kind)).toEqual(['standby-started', 'left-marked', 'follows']);

    // Once more: it follows already.
    const again = await world.cmdStandby(other, ['--follow', addressOf(heir)]);
    expectExit(again, 0);
    expect(again.stdout).toContain('streams from it, timeline 2');
  });

  test('that reads the archive follows the new primary, and a cleanly stopped former primary too', async ({
    world,
  }) => {
    const { primary, heir, other, former } = await makeThree(world, { heir: streams, former: streams });
    await addRows(primary, 100);
    await hasRows(heir, 100);
    await primary.stop('fast');
    expectExit(await world.cmdStandby(heir, ['-F999']), 0);
    await addRows(heir, 200);
    const cluster = await heir.value('SELECT system_identifier FROM pg_control_system()');
    const ask = (timeline: number, identifier = cluster) =>
      world.cmdStandby(former, [
        '--serve',
        `become-standby ${heir.host.address} ${heir.port} ${identifier} ${timeline}`,
      ]);

    // As if a checkpoint had removed it: a copy of it is nowhere else.
    const gone = await heir.switchWal();
    const walDirectory = join(heir.pgdata, capabilitiesOf(parseVersion(String(major))).walDirName);
    const copies = [walDirectory, other.archiveDir, former.archiveDir].map((each) => join(each, gone));
    await eventually(() => copies.every((copy) => existsSync(copy)));
    for (const copy of copies) renameSync(copy, `${copy}.aside`);
    const lacking = await world.cmdStandby(other, ['--follow', addressOf(heir)]);
    for (const lacks of [lacking, await ask(2)]) {
      expectExit(lacks, 4);
      expect(lacks.stderr).toMatch(new RegExp(`cannot follow .*: WAL that .* is neither on .*: ${gone}`));
    }
    expect(lacking.stderr).toContain(`If a copy exists, bring it to "${other.archiveDir}"`);
    for (const copy of copies) renameSync(`${copy}.aside`, copy);

    // As if an earlier run was killed after it had changed the file.
    other.writeIni({ master_public_ip: heir.host.address, port: heir.port });
    const run = await world.cmdStandby(other, ['--follow', addressOf(heir)]);
    expectExit(run, 0);
    expect(run.stdout).toMatch(/^Follows \S+: replays its WAL from the archive, timeline 2, up to LSN /m);
    await hasRows(other, 200);

    const refused = await world.cmdStandby(former, ['--follow', addressOf(heir)]);
    expectExit(refused, 4);
    expect(refused.stderr).toContain('not in recovery');

    expectExit(await ask(3), 4);
    expectExit(await ask(2, '1234'), 4);
    const became = await ask(2);
    expectExit(became, 0);
    expect(became.stdout).toContain(`${answerMark}{"by":"streaming","timeline":2,"lsn":"`);
    await hasRows(former, 200);
    expect(await former.inRecovery()).toBe(true);
    await addRows(heir, 300);
    await hasRows(former, 300);

    // A lost answer is asked for again.
    expectExit(await ask(2), 0);
  });
});

describe('--follow refuses', () => {
  test('another cluster, a silent host and a history without ours, with all objections at once', async ({
    world,
  }) => {
    const { primary, heir, other } = await makeThree(world, {
      heir: streams,
      // Without ssh: everything is asked of the server itself.
      other: { ...streams, basebackup_method: 'pg_basebackup' },
    });
    const stranger = await world.startPrimary({ name: 'stranger' });
    await addRows(primary, 100);
    for (const standby of [heir, other]) await hasRows(standby, 100);
    const ini = readFileSync(other.iniFile, 'utf8');

    const foreign = await world.cmdStandby(other, ['--follow', addressOf(stranger)]);
    expectExit(foreign, 4);
    expect(foreign.stderr).toMatch(
      /is a server of another cluster: its system identifier is \d+, and \d+ here/,
    );

    // A standby can be followed, too, and the former primary again.
    for (const each of [heir, primary]) {
      const run = await world.cmdStandby(other, ['--follow', addressOf(each)]);
      expectExit(run, 0);
      expect(run.stdout).toMatch(/^Follows \S+: streams from it, timeline 1, up to LSN /m);
    }
    expect(readFileSync(other.iniFile, 'utf8')).toBe(ini);

    const self = await world.cmdStandby(other, ['--follow', addressOf(other)]);
    expectExit(self, 4);
    expect(self.stderr).toContain('is this very server');

    chmodSync(dirname(other.iniFile), 0o500);
    const silent = await world.cmdStandby(other, ['--follow', `${heir.host.address}:1`]);
    chmodSync(dirname(other.iniFile), 0o700);
    expectExit(silent, 4);
    expect(silent.stderr).toContain(`cannot change "${iniOf(other)}": EACCES`);
    expect(silent.stderr).toContain(
      `Write master_public_ip: ${heir.host.address} and port: 1 there yourself`,
    );

    // The heir is opened while the primary lives: the other one has replayed past the fork.
    expectExit(await world.cmdStandby(heir, ['-F999', '--force']), 0);
    await addRows(primary, 200);
    await hasRows(other, 200);
    const diverged = await world.cmdStandby(other, ['--follow', addressOf(heir)]);
    expectExit(diverged, 4);
    expect(diverged.stderr).toMatch(
      /cannot follow \S+: its timeline 2 left timeline 1 at \S+, and this host has WAL up to/,
    );
    expect(diverged.stderr).toContain('make a new base backup');

    expect(readFileSync(other.iniFile, 'utf8')).toBe(ini);
    await addRows(primary, 300);
    await hasRows(other, 300);
    expect(await countRows(heir)).toBe(100);
  });
});
