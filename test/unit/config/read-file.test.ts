import { execFileSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { archiverReader } from '../../../src/config/load-archiver.ts';
import { requireFor, standbyReader } from '../../../src/config/load-standby.ts';
import { readConfiguration } from '../../../src/config/read-file.ts';
import { exitCodes } from '../../../src/errors.ts';
import { removeTree } from '../../harness/remove-tree.ts';
import { goodArchiver, goodStandby } from './fixtures.ts';

function iniFile(text: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'read-file-'));
  onTestFinished(() => {
    removeTree(directory);
  });
  const file = join(directory, 'x.ini');
  writeFileSync(file, text);
  return file;
}

const programs = [
  {
    name: 'cmd_archiver',
    read: (file: string) => readConfiguration(file, archiverReader),
    good: goodArchiver,
  },
  {
    name: 'cmd_standby',
    read: (file: string) => readConfiguration(file, standbyReader),
    good: goodStandby,
  },
];

test.each(programs)(
  '$name: all problems of a file make one error, each with its line',
  async ({ read, good }) => {
    const file = iniFile(`${good}ssh_timeout: ten\nfoo: bar\n`);
    const last = good.split('\n').length;
    await expect(read(file)).rejects.toMatchObject({
      message: `the configuration file cannot be used:
${file}:${last}: ssh_timeout: "ten" is not a number of seconds (1 to 3600)
${file}:${last + 1}: unknown key "foo"`,
      hint: 'Correct these lines; doc/reference.md explains each key.',
      exitCode: exitCodes.configuration,
    });
  },
);

test.each(programs)('$name: a file that cannot be read is named, with the reason', async ({ read }) => {
  await expect(read('/nonexistent.ini')).rejects.toMatchObject({
    message: 'cannot read the configuration file "/nonexistent.ini"',
    detail: expect.stringContaining('ENOENT') as string,
    exitCode: exitCodes.configuration,
  });
});

test.each(programs)('$name: UTF-16 is one problem, which is named', async ({ read, good }) => {
  const file = iniFile('');
  const little = Buffer.from(good, 'utf16le');
  const marked = Buffer.concat([Buffer.from([0xff, 0xfe]), little]);
  for (const bytes of [little, marked, Buffer.from(marked).swap16()]) {
    writeFileSync(file, bytes);
    await expect(read(file)).rejects.toMatchObject({
      message: `cannot read the configuration file "${file}"`,
      detail: expect.stringMatching(/^it is UTF-16, not UTF-8: /) as string,
      exitCode: exitCodes.configuration,
    });
  }
});

test.each(programs)('$name: a disk_warning above disk_critical is warned of', async ({ read, good }) => {
  const warned = async (lines: string) =>
    (await read(iniFile(`${good}${lines}`))).warnings.map((each) => each.replace(/^.*?:\d+: /, ''));
  expect(await warned('disk_critical: 80\ndisk_warning: 90\n')).toEqual([
    'disk_warning: 90 is above disk_critical (80): the limit of the warning has no effect',
  ]);
  expect(await warned('disk_warning: 97\n')).toEqual([
    'disk_warning: 97 is above disk_critical (95, its default): the limit of the warning has no effect',
  ]);
  expect(await warned('disk_critical: 80\n')).toEqual([
    'disk_critical: 80 is below disk_warning (85, its default): the limit of the warning has no effect',
  ]);
  expect(await warned('disk_critical: 90\ndisk_warning: 90\n')).toEqual([]);
});

test('a key of the other program is called that, and no other key is suggested', async () => {
  const archiver = iniFile(`${goodArchiver}archivedir: /archive\nrsync: /usr/bin/rsync\n`);
  await expect(readConfiguration(archiver, archiverReader)).rejects.toMatchObject({
    message: `the configuration file cannot be used:
${archiver}:6: unknown key "archivedir": it belongs in the INI file of cmd_standby
${archiver}:7: unknown key "rsync": it belongs in the INI file of cmd_standby (did you mean "rsync_bin"?)`,
  });
  const standby = iniFile(`${goodStandby}l_archivedir: /archive\n`);
  await expect(readConfiguration(standby, standbyReader)).rejects.toMatchObject({
    message: expect.stringMatching(
      /:5: unknown key "l_archivedir": it belongs in the INI file of cmd_archiver$/,
    ) as string,
  });
});

test('a required key is missed although a similar key of the other program is there', async () => {
  const file = iniFile(goodArchiver.replace('r_archivedir', 'archivedir'));
  await expect(readConfiguration(file, archiverReader)).rejects.toMatchObject({
    message: expect.stringMatching(/missing required key "r_archivedir"/) as string,
  });
});

test('a key that only one action needs is reported in the same form', async () => {
  const file = iniFile(`${goodStandby}use_streaming_replication: on\n`);
  const read = readConfiguration(file, {
    ...standbyReader,
    findMissing: (config) => requireFor(config, 'start-standby'),
  });
  await expect(read).rejects.toMatchObject({
    message: expect.stringMatching(
      /^the configuration file cannot be used:\n.*x\.ini:5: missing key/,
    ) as string,
    exitCode: exitCodes.configuration,
  });
});

test('warnings show the file and the line', async () => {
  const file = iniFile(`${goodArchiver}queue_wait: 5\n`);
  const { settings, warnings } = await readConfiguration(file, archiverReader);
  expect(settings.pgdata).toBe('/data');
  expect(warnings).toEqual([expect.stringMatching(/x\.ini:6: "queue_wait" has no effect any more/)]);
});

test.each(programs)('$name: only a regular file of a person is read', async ({ read, good }) => {
  const long = iniFile(`${good}# ${'x'.repeat(1024 * 1024)}\n`);
  const pipe = `${long}.pipe`;
  execFileSync('sh', ['-c', 'mkfifo "$1"', 'sh', pipe]);
  await expect(read(long)).rejects.toMatchObject({
    detail: expect.stringContaining('no INI file is larger than 1 MB') as string,
    exitCode: exitCodes.configuration,
  });
  for (const other of [pipe, '/dev/zero', dirname(long)])
    await expect(read(other)).rejects.toMatchObject({
      message: expect.stringContaining(other) as string,
      detail: 'it is not a regular file',
      exitCode: exitCodes.configuration,
    });
});
