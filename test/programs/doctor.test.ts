import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { expect } from 'vitest';
import { checkout } from '../harness/checkout.ts';
import { clientProgram, failureMajors } from '../harness/postgres-programs.ts';
import type { Primary } from '../harness/primary.ts';
import { type Finished, run } from '../harness/processes.ts';
import type { Standby } from '../harness/standby.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { installHelpers } from './backup-kit.ts';
import { expectExit } from './standby-kit.ts';

test.override({ major: failureMajors().at(-1) ?? 15 });

interface Found {
  readonly name: string;
  readonly about?: string;
  readonly result: string;
  readonly says: string;
  readonly hint?: string;
}

interface Report {
  readonly code: number | null;
  readonly checks: readonly Found[];
}

const fitsSchema = new Ajv().compile(
  JSON.parse(readFileSync(checkout('doc', 'check.schema.json'), 'utf8')) as object,
);

/** The test machine's own disk is no matter here. */
const noDiskLimits = { disk_warning: 100, disk_critical: 100 };

function reportOf({ code, stdout, stderr }: Finished): Report {
  expect(stdout, stderr).toMatch(/^\{/);
  const report: unknown = JSON.parse(stdout);
  if (!fitsSchema(report)) throw new Error(JSON.stringify(fitsSchema.errors));
  return { ...(report as Report), code };
}

const troubles = ({ checks }: Report): Found[] =>
  checks.filter(({ result }) => !['ok', 'skipped'].includes(result));

/** A primary and a standby as the tour makes them, before the base backup. */
async function tour(world: World): Promise<{ primary: Primary; standby: Standby }> {
  const primary = await world.startPrimary({
    slaves: ['standby1'],
    ini: { psql: clientProgram('psql'), debug: 'off', ...noDiskLimits },
  });
  const standby = await world.addStandby('standby1', primary);
  await installHelpers(primary);
  expectExit(await world.cmdStandby(standby, ['-I']), 0);
  expectExit(await world.cmdArchiver(primary, ['-I']), 0);
  return { primary, standby };
}

test('cmd_archiver --check finds nothing on a healthy pair, and names each typical mistake', async ({
  world,
}) => {
  const { primary, standby } = await tour(world);
  const check = async (...names: string[]) =>
    reportOf(await world.cmdArchiver(primary, ['--check', ...names, '--json']));
  /** The only trouble that these checks find. */
  const trouble = async (...names: string[]): Promise<Found> => {
    const report = await check(...names);
    const found = troubles(report);
    expect(found, JSON.stringify(report)).toHaveLength(1);
    expect(report.code).toBe(found[0]?.result === 'failed' ? 1 : 7);
    return found[0] as Found;
  };

  const well = await check();
  expect(troubles(well)).toEqual([]);
  expect(well.code).toBe(0);
  const delivered = well.checks.filter(({ name }) => name === 'delivery');
  expect(delivered.map(({ says }) => says)).toEqual([
    expect.stringMatching(/^PostgreSQL archived 00000001\w{16} in .*, and a second time$/),
    expect.stringMatching(/^00000001\w{16} was in .* after the switch, with the same contents$/),
  ]);
  const text = await world.cmdArchiver(primary, ['--check', 'node', 'delivery', '--dry-run']);
  expect(text).toMatchObject({ code: 0, stderr: '' });
  expect(text.stdout).toMatch(/^ok +node +Node\.js/);
  expect(text.stdout).toMatch(/\nskipped +delivery +--dry-run leaves it out/);
  expect(text.stdout).toMatch(/\S+ \(cmd_archiver --check\): \d+ ok, \d+ skipped\n$/);
  expect(await world.cmdArchiver(primary, ['--check', 'nothing'])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('there is no check "nothing"') as string,
  });

  const ssh = { ssh: primary.host.ssh };
  primary.writeIni({ pgdata: join(primary.host.directory, 'pgdat') });
  const wrongPgdata = await trouble('pgdata', 'archive');
  expect(wrongPgdata.says).toContain(
    `cannot read "${join(primary.host.directory, 'pgdat', 'global', 'pg_control')}"`,
  );
  expect(wrongPgdata.hint).toContain(primary.pgdata);
  primary.writeIni({ pgdata: primary.pgdata });

  primary.writeIni({ slaves: 'standby1, standbx' });
  expect(await trouble('ssh', 'archive', 'clock')).toMatchObject({
    about: 'standbx',
    says: 'there is no host of the name standbx',
    hint: expect.stringContaining('Correct it in slaves:') as string,
  });
  primary.writeIni({ slaves: 'standby1' });

  const authorized = join(standby.host.directory, 'ssh', 'authorized_keys');
  const keys = readFileSync(authorized);
  writeFileSync(authorized, '');
  const unauthorised = await trouble('ssh', 'archive', 'versions');
  expect(unauthorised.says).toMatch(
    /^standby1 does not let us in as user .*: no key of .* is authorised there$/,
  );
  expect(unauthorised.hint).toContain(`~${world.user}/.ssh/authorized_keys on standby1`);
  writeFileSync(authorized, `command="eval \\"$SSH_ORIGINAL_COMMAND\\"" ${keys.toString()}`);
  expect(await trouble('ssh', 'archive', 'links', 'versions')).toMatchObject({
    about: 'standby1',
    result: 'unknown',
    says: expect.stringContaining('is limited to a forced command, which lets sh through') as string,
  });
  writeFileSync(authorized, `command="echo hello" ${keys.toString()}`);
  expect((await trouble('ssh')).says).toMatch(/^standby1 lets us in, but runs no sh for us: /);
  writeFileSync(authorized, keys);

  const knownHosts = join(primary.host.directory, 'ssh', 'known_hosts');
  const known = readFileSync(knownHosts, 'utf8');
  writeFileSync(knownHosts, '');
  primary.writeIni({ ssh: `${primary.host.ssh} -o StrictHostKeyChecking=yes` });
  expect((await trouble('ssh')).says).toBe(
    'the host key of standby1 is not known here, and ssh is not allowed to accept it',
  );
  primary.writeIni(ssh);
  const other = readFileSync(authorized, 'utf8').split(' ')[1] ?? '';
  writeFileSync(knownHosts, known.replace(/(ssh-ed25519) \S+/g, `$1 ${other}`));
  const changed = await trouble('ssh');
  expect(changed.says).toMatch(
    new RegExp(
      `^the host key of standby1 is not the ED25519 key in ${knownHosts}, line \\d+: it was changed there`,
    ),
  );
  expect(changed.hint).toContain(`ssh-keygen -f ${knownHosts} -R `);
  writeFileSync(knownHosts, known);

  chmodSync(standby.archiveDir, 0o500);
  const closed = await trouble('archive');
  expect(closed.says).toMatch(new RegExp(`^${standby.archiveDir} cannot be used: .*Permission denied`));
  expect(closed.hint).toContain(`Make ${standby.archiveDir} writable`);
  chmodSync(standby.archiveDir, 0o700);

  primary.writeIni({ psql: '/nowhere/psql' });
  expect(await trouble('paths')).toMatchObject({
    about: 'psql',
    says: 'psql: there is no program /nowhere/psql',
    hint: expect.stringMatching(/^There is one at \/.*psql: set psql: to that\.$/) as string,
  });
  primary.writeIni({ psql: clientProgram('psql') });

  const hba = join(primary.pgdata, 'pg_hba.conf');
  const rules = readFileSync(hba, 'utf8');
  writeFileSync(hba, `local all all reject\n${rules}`);
  await primary.reload();
  const refused = await trouble('server', 'archiving', 'delivery');
  expect(refused.says).toContain('pg_hba.conf rejects');
  expect(refused.hint).toContain(`in pg_hba.conf "local all ${world.user} peer"`);
  writeFileSync(hba, rules);

  primary.configure({ archive_command: `/nowhere/cmd_archiver -C ${primary.iniFile} -F %p` });
  await primary.reload();
  const badCommand = await trouble('archiving', 'delivery');
  expect(badCommand.says).toContain('there is no program "/nowhere/cmd_archiver" that can be run');
  expect(badCommand.hint).toContain(
    `archive_command = '${checkout('bin', 'cmd_archiver')} -C ${primary.iniFile} -F %p'`,
  );

  // As root in a user namespace, where the machine allows one.
  if ((await run('unshare', ['--map-root-user', 'true'])).code === 0) {
    const asRoot = ['--map-root-user', checkout('bin', 'cmd_archiver'), '-C', primary.iniFile, '--check'];
    expect(await run('unshare', asRoot, { env: primary.host.env })).toMatchObject({
      code: 4,
      stderr: expect.stringMatching(/must not be run as root\nHINT: .* su - postgres/) as string,
    });
  }

  primary.writeIni({ pgdat: '/x', ssh_timeout: 'soon' });
  const ini = await world.cmdArchiver(primary, ['--check']);
  expectExit(ini, 3);
  expect(ini.stderr).toMatch(/cmd_archiver\.ini:\d+: .*pgdat.*pgdata/);
  expect(ini.stderr).toMatch(/cmd_archiver\.ini:\d+: .*ssh_timeout/);
});

test('cmd_standby --check finds nothing before and after the base backup, and names each typical mistake', async ({
  world,
}) => {
  const { primary, standby } = await tour(world);
  standby.writeIni({ debug: 'off', ...noDiskLimits });
  const check = async (...names: string[]) =>
    reportOf(await world.cmdStandby(standby, ['--check', ...names, '--json']));
  /** The only trouble that these checks find. */
  const trouble = async (...names: string[]): Promise<Found> => {
    const report = await check(...names);
    const found = troubles(report);
    expect(found, JSON.stringify(report)).toHaveLength(1);
    expect(report.code).toBe(found[0]?.result === 'failed' ? 1 : 7);
    return found[0] as Found;
  };

  expect(troubles(await check())).toEqual([]);
  const text = await world.cmdStandby(standby, ['--check', 'node', 'restore']);
  expect(text).toMatchObject({ code: 0, stderr: '' });
  expect(text.stdout).toMatch(/\nskipped +restore +.* has no segment yet/);

  standby.writeIni({ pgdata: `${standby.pgdata}x` });
  expect(await trouble('pgdata')).toMatchObject({
    says: expect.stringContaining(`pgdata "${standby.pgdata}x" does not exist`) as string,
    hint: expect.stringContaining('Correct pgdata: in the INI file') as string,
  });
  // The INI file of the standby, used on the primary.
  standby.writeIni({ pgdata: primary.pgdata });
  const wrongHost = troubles(await check('place'));
  expect(wrongHost.map(({ says }) => says)).toContain(
    `"${primary.pgdata}" is the primary's own directory "${primary.pgdata}"`,
  );
  expect(wrongHost.map(({ hint }) => hint).join(' ')).toContain('This host is the primary');
  standby.writeIni({ pgdata: standby.pgdata });

  standby.writeIni({ master_public_ip: 'primaryx' });
  expect(await trouble('ssh', 'sql', 'clock')).toMatchObject({
    says: 'there is no host of the name primaryx',
    hint: expect.stringContaining('Correct it in master_public_ip:') as string,
  });
  standby.writeIni({ master_public_ip: primary.host.address });

  const authorized = join(primary.host.directory, 'ssh', 'authorized_keys');
  const keys = readFileSync(authorized);
  writeFileSync(authorized, '');
  expect((await trouble('ssh', 'sql')).says).toMatch(
    /does not let us in as user .*: no key of .* is authorised/,
  );
  writeFileSync(authorized, keys);

  standby.writeIni({ r_psql: '/nowhere/psql' });
  const psql = await trouble('ssh', 'sql', 'place');
  expect(psql).toMatchObject({ name: 'sql', hint: 'Set r_psql: to the path of psql there.' });
  expect(psql.says).toContain('cannot run "/nowhere/psql"');
  standby.writeIni({ r_psql: clientProgram('psql') });

  const hba = join(primary.pgdata, 'pg_hba.conf');
  const rules = readFileSync(hba, 'utf8');
  writeFileSync(hba, `host all all 127.0.0.1/32 reject\nhost replication all all reject\n${rules}`);
  await primary.reload();
  standby.writeIni({ use_streaming_replication: 'yes' });
  const refused = troubles(await check('sql', 'streaming'));
  expect(refused.map(({ name }) => name)).toEqual(['sql', 'streaming']);
  expect(refused[0]?.hint).toContain('use .pgpass or pg_hba.conf');
  expect(refused[1]?.hint).toContain('host replication');
  writeFileSync(hba, rules);
  await primary.reload();
  standby.writeIni({ use_streaming_replication: 'no', pgversion: 9.4 });
  expect((await trouble('place')).says).toBe(
    `pgversion: says 9.4, but the primary is PostgreSQL ${primary.major}`,
  );
  standby.writeIni({ pgversion: primary.major });

  expectExit(await world.cmdStandby(standby, ['-B']), 0);
  expectExit(await world.cmdStandby(standby, ['-S']), 0);
  const running = await check();
  expect(troubles(running)).toEqual([]);
  const archiverIni = join(standby.host.directory, 'etc', 'cmd_archiver.ini');
  expect(running.checks.find(({ name }) => name === 'switchover')).toMatchObject({
    result: 'skipped',
    says: `--switchover is not set up: ${archiverIni} (archiver_ini:) does not exist here`,
  });
  const ofPrimary = reportOf(await world.cmdArchiver(primary, ['--check', 'versions', '--json']));
  expect(ofPrimary.code).toBe(0);
  expect(ofPrimary.checks.map(({ says }) => says)).toEqual([
    expect.stringMatching(/^rsync on standby1 is 3\S+, and 3\S+ here$/),
    expect.stringContaining('cmd_standby on standby1 is of the same release'),
    `standby1 has a base backup of PostgreSQL ${primary.major}, as this server is`,
  ]);
  expect(running.checks.find(({ name }) => name === 'restore')?.says).toMatch(
    /^restore_command fetched 00000001\w{16}, and it is whole and of this cluster$/,
  );
  const inArchiver = await world.cmdArchiver(primary, ['--check', 'role', '--json'], {
    ini: standbyArchiverIni(standby, primary),
  });
  expect(troubles(reportOf(inArchiver))).toMatchObject([
    { name: 'role', result: 'unknown', hint: expect.stringContaining('on the primary') as string },
  ]);

  const newest =
    standby
      .archive()
      .filter((name) => name.length === 24)
      .at(-1) ?? '';
  writeFileSync(join(standby.archiveDir, newest), Buffer.alloc(16 * 1024 * 1024));
  const zeros = await trouble('restore');
  expect(zeros.says).toContain(`restore_command fetched ${newest}, but `);
});

/** cmd_archiver's INI file of the primary, copied to the standby and used for the server there. */
function standbyArchiverIni(standby: Standby, primary: Primary): string {
  const file = join(standby.host.directory, 'etc', 'copied_archiver.ini');
  const text = readFileSync(primary.iniFile, 'utf8').replace(/^pgdata.*$/m, `pgdata: ${standby.pgdata}`);
  writeFileSync(file, text, { mode: 0o600 });
  return file;
}
