import { chmodSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { checkout } from '../harness/checkout.ts';
import { run } from '../harness/processes.ts';
import { removeTree } from '../harness/remove-tree.ts';

const howTo = (name: string) => checkout('test', 'fixtures', 'ini', `how-to-${name}.ini`);
const configurationError = 3;

function temporaryFile(text: string): string {
  const directory = mkdtempSync(join(process.env['PITRTOOLS_TEST_TMP'] ?? tmpdir(), 'ini-'));
  onTestFinished(() => {
    removeTree(directory);
  });
  const file = join(directory, 'test.ini');
  writeFileSync(file, text);
  return file;
}

const check = (program: string, ...args: string[]) => run(checkout('bin', program), args);

function plant(text: string, changes: readonly (readonly [RegExp, string])[]): string {
  return changes.reduce((planted, [pattern, mistake]) => {
    expect(planted).toMatch(pattern);
    return planted.replace(pattern, mistake);
  }, text);
}

describe('the INI files of the how-to, byte for byte', () => {
  test.each([
    ['cmd_archiver', 'archiver', ['pgdata']],
    ['cmd_standby', 'standby', ['pg_conf', 'pg_hba_conf', 'pg_conf_failover', 'pg_hba_conf_failover']],
  ])('%s reports only paths that do not exist here', async (program, name, keys) => {
    const result = await check(program, '-C', howTo(name));
    expect(result).toMatchObject({ code: configurationError, stdout: '' });
    const [first, detail, ...rest] = result.stderr.trimEnd().split('\n');
    expect(first).toBe(
      'ERROR: the INI file is valid, but a path or program in it does not exist on this host',
    );
    for (const key of keys) expect(detail).toContain(`${key}: /var/lib/postgresql/`);
    const complaints = (detail ?? '').replace('DETAIL: ', '').split('; ');
    for (const complaint of complaints)
      expect(complaint).toMatch(/^\w+: (\S+ does not exist|there is no program \S+)$/);
    expect(rest).toEqual([]);
  });

  test('cmd_archiver reports three mistakes in three lines, and exits', async () => {
    const file = temporaryFile(
      plant(readFileSync(howTo('archiver'), 'utf8'), [
        [/rsync_flags: -z/, 'rsync_flagz: -z'],
        [/ssh_timeout: 10/, 'ssh_timeout: ten'],
        [/.*slaves: bitarena-clone.*\n/, ''],
      ]),
    );
    const result = await check('cmd_archiver', '-C', file, '-F', 'pg_wal/000000010000000000000001');
    expect(result).toMatchObject({ code: configurationError, stdout: '' });
    const lines = result.stderr.split('\n').filter((line) => line.includes(`${file}:`));
    expect(lines).toHaveLength(3);
    expect(lines.join('\n')).toMatch(/:\d+: .*rsync_flagz.*rsync_flags/);
    expect(lines.join('\n')).toMatch(/:\d+: .*ssh_timeout.*ten/);
    expect(lines.join('\n')).toMatch(/:\d+: .*slaves/);
  });

  test('cmd_standby reports three mistakes in three lines, and exits', async () => {
    const file = temporaryFile(
      plant(readFileSync(howTo('standby'), 'utf8'), [
        [/numarchives: 10/, 'numarchivs: 10'],
        [/port: 5432/, 'port: 543210'],
        [/master_public_ip: bitarena\n/, ''],
      ]),
    );
    const result = await check('cmd_standby', '-C', file, '-S');
    expect(result).toMatchObject({ code: configurationError, stdout: '' });
    const lines = result.stderr.split('\n').filter((line) => line.includes(`${file}:`));
    expect(lines).toHaveLength(3);
    expect(lines.join('\n')).toMatch(/:\d+: .*numarchivs.*numarchives/);
    expect(lines.join('\n')).toMatch(/:\d+: .*port.*543210/);
    expect(lines.join('\n')).toMatch(/:\d+: .*master_public_ip/);
  });
});

describe.each(['cmd_archiver', 'cmd_standby'])('%s without a usable INI file', (program) => {
  test.each([[['-C', '/nonexistent.ini'], '/nonexistent.ini']])(
    'names the file of %j',
    async (args, named) => {
      const result = await check(program, ...args);
      expect(result.code).toBe(configurationError);
      expect(result.stderr).toContain(named);
    },
  );

  test('names a file that cannot be read', async () => {
    const file = temporaryFile('[DEFAULT]\n');
    chmodSync(file, 0o000);
    const result = await check(program, '-C', file);
    expect(result.code).toBe(configurationError);
    expect(result.stderr).toContain(file);
  });

  test('reports a missing -C as a usage error', async () => {
    const result = await check(program);
    expect(result.code).toBe(2);
    expect(result.stderr).toContain('-C');
  });
});

test.each(['cmd_archiver', 'cmd_standby'])(
  '%s --nagios answers in one line that Nagios can show, whatever is wrong',
  async (program) => {
    const file = temporaryFile('[DEFAULT]\npgdata: |x\n');
    const mistake = await check(program, '-C', file, '--status', '--nagios');
    expect(mistake.code).toBe(3);
    expect(mistake.stdout).toMatch(
      /^pitrtools UNKNOWN - the configuration file cannot be used: [^|\n]*pgdata: [^|\n]*\n$/,
    );
    const mistyped = await check(program, '-C', file, '--status', '--nagios', '--warning', 'x');
    expect(mistyped).toMatchObject({
      code: 3,
      stdout: 'pitrtools UNKNOWN - --warning "x" is not SIZE,SECONDS, such as 64MB,300\n',
    });
    expect(mistyped.stderr).toContain('HINT: ');
  },
);
