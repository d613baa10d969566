import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { StandbySettings } from '../../../src/config/options-standby.ts';
import { setAsideLastSegment } from '../../../src/standby/actions/failover/last-segment.ts';
import { failoverConf } from '../../../src/standby/actions/failover/use-conf.ts';
import type { StandbyDeps } from '../../../src/standby/deps.ts';
import { readRecord } from '../../../src/standby/host/backup-record/record.ts';
import { copyConf, planConfCopies } from '../../../src/standby/host/conf-files.ts';
import { clearRecoverySettings, writeRecoverySettings } from '../../../src/standby/recovery/files.ts';
import { recoveryPlace } from '../../../src/standby/recovery/place.ts';
import { recoverySettings } from '../../../src/standby/recovery/settings.ts';
import { serverOf } from '../../../src/standby/server/server.ts';
import type { ServerConfiguration } from '../../../src/standby/server/server-configuration.ts';
import { dataDirectory, place } from './standby-facts.ts';

let pgdata = '';
beforeEach(() => {
  pgdata = mkdtempSync(join(tmpdir(), 'pitrtools-unit-'));
});
afterEach(() => {
  rmSync(pgdata, { recursive: true, force: true });
});

const notices: string[] = [];
const quiet = { debug: () => undefined, warning: () => undefined, error: () => undefined };

function depsWith(settings: Partial<StandbySettings>): StandbyDeps {
  const log = { ...quiet, notice: (line: string) => notices.push(line) };
  const all = { pgdata, no_copy_conf: false, recovery_conf: join(pgdata, 'recovery.conf'), ...settings };
  return { settings: all, log, now: () => Date.parse('2024-05-06T07:08:09Z') } as unknown as StandbyDeps;
}

const read = (name: string) => readFileSync(join(pgdata, name), 'utf8');
const directory = (major: string) => dataDirectory(major, { pgdata });
const standby = { kind: 'standby', streaming: undefined } as const;

describe('recovery settings on disk', () => {
  test("are added to the user's settings from 12 on, and removed again without changes to those", async () => {
    const own = "# mine\nwork_mem = '5MB'\n";
    writeFileSync(join(pgdata, 'postgresql.auto.conf'), own);
    writeFileSync(join(pgdata, 'recovery.signal'), '');
    const { capabilities } = directory('15');
    const server = serverOf(depsWith({}), capabilities);
    await writeRecoverySettings(server, 'standby', recoverySettings(capabilities, standby, place));
    expect(read('postgresql.auto.conf')).toMatch(/^# mine\nwork_mem = '5MB'\nrestore_command = /);
    expect(statSync(join(pgdata, 'postgresql.auto.conf')).mode & 0o777).toBe(0o600);
    expect(existsSync(join(pgdata, 'standby.signal'))).toBe(true);
    expect(existsSync(join(pgdata, 'recovery.signal'))).toBe(false);

    const target = recoverySettings(
      capabilities,
      {
        kind: 'to-target',
        target: {
          goal: { kind: 'time', micros: 0n },
          exclusive: false,
          timeline: 'latest',
          action: 'promote',
        },
      },
      place,
    );
    await writeRecoverySettings(server, 'recovery', target);
    expect(read('postgresql.auto.conf')).not.toContain('wal_retrieve_retry_interval');
    expect(existsSync(join(pgdata, 'standby.signal'))).toBe(false);
    expect(existsSync(join(pgdata, 'recovery.signal'))).toBe(true);

    await clearRecoverySettings(server);
    expect(read('postgresql.auto.conf')).toBe(own);
    expect(readdirSync(pgdata).filter((name) => name.endsWith('.signal'))).toEqual([]);
    expect((await readRecord(pgdata)).settings).toBeUndefined();
  });

  test('leave the bytes of lines in another encoding as they are', async () => {
    const own = Buffer.from("site.folder = '/caf\xe9'\n", 'latin1');
    const path = join(pgdata, 'postgresql.auto.conf');
    writeFileSync(path, own);
    const { capabilities } = directory('15');
    const server = serverOf(depsWith({}), capabilities);
    const archivedir = '/archivé';
    const settings = recoverySettings(capabilities, standby, { ...place, archivedir });
    await writeRecoverySettings(server, 'standby', settings);
    expect(readFileSync(path).subarray(0, own.length)).toEqual(own);
    expect(read('postgresql.auto.conf')).toContain(archivedir);
    await clearRecoverySettings(server);
    expect(readFileSync(path)).toEqual(own);
  });

  test("leave out the user's own delay while a recovery to a target runs, and bring it back with the standby", async () => {
    const { capabilities } = directory('15');
    const server = serverOf(depsWith({}), capabilities);
    const delay = () => /^recovery_min_apply_delay = (.*)$/m.exec(read('postgresql.auto.conf'))?.[1];
    const target = {
      kind: 'to-target',
      target: { goal: { kind: 'time', micros: 0n }, exclusive: true, timeline: 'latest', action: 'pause' },
    } as const;
    const where = { ...place, ownDelay: true };
    const write = {
      target: () => writeRecoverySettings(server, 'recovery', recoverySettings(capabilities, target, where)),
      hold: () =>
        writeRecoverySettings(server, 'held', recoverySettings(capabilities, { kind: 'hold' }, where)),
      standby: (more = {}) =>
        writeRecoverySettings(
          server,
          'standby',
          recoverySettings(capabilities, { ...standby, ...more }, where),
        ),
    };
    writeFileSync(join(pgdata, 'postgresql.auto.conf'), "recovery_min_apply_delay = '2h'\n");
    await write.standby();
    expect(delay()).toBe("'2h'");
    for (let round = 0; round < 2; round++) {
      await write.target();
      expect(delay()).toBe("'0'");
      await write.target();
      await write.hold();
      expect(delay()).toBeUndefined();
      await write.standby();
      await write.standby();
      expect(delay()).toBe("'2h'");
    }
    writeFileSync(join(pgdata, 'postgresql.auto.conf'), read('postgresql.auto.conf').replace("'2h'", "'3h'"));
    await write.target();
    await clearRecoverySettings(server);
    expect(delay()).toBe("'3h'");
    await write.standby({ delay: '4h' });
    await write.standby();
    expect(delay()).toBeUndefined();
  });

  test("have the user's own delay after every interruption of a standby's start", async () => {
    const { capabilities } = directory('15');
    const server = serverOf(depsWith({}), capabilities);
    const paths = [join(pgdata, 'postgresql.auto.conf'), join(pgdata, 'pitrtools.json')] as const;
    const state = () => paths.map((path) => readFileSync(path, 'utf8'));
    const putBack = (files: readonly string[]) => {
      paths.forEach((path, index) => {
        writeFileSync(path, files[index] ?? '');
      });
    };
    const writeStandby = () =>
      writeRecoverySettings(server, 'standby', recoverySettings(capabilities, standby, place));
    writeFileSync(paths[0], "recovery_min_apply_delay = '4h'\n");
    await writeStandby();
    const target = {
      kind: 'to-target',
      target: { goal: { kind: 'time', micros: 0n }, exclusive: true, timeline: 'latest', action: 'pause' },
    } as const;
    const where = { ...place, ownDelay: true };
    await writeRecoverySettings(server, 'recovery', recoverySettings(capabilities, target, where));
    const [confOfTarget = ''] = state();
    expect(confOfTarget).toContain("recovery_min_apply_delay = '0'");

    const settings = recoverySettings(capabilities, standby, place);
    const parameters = new Map(settings.parameters);
    parameters[Symbol.iterator] = () => {
      throw new Error('killed');
    };
    await expect(writeRecoverySettings(server, 'standby', { ...settings, parameters })).rejects.toThrow(
      'killed',
    );
    const [confBefore = '', recordBefore = ''] = state();
    expect(confBefore).toBe(confOfTarget);
    await writeStandby();
    const [confAfter = '', recordAfter = ''] = state();
    expect(confAfter).toContain("recovery_min_apply_delay = '4h'");
    putBack([confAfter, recordBefore]);
    await writeStandby();
    expect(state()).toEqual([confAfter, recordAfter]);

    // The user changes it afterwards.
    putBack([confAfter.replace("'4h'", "'0'"), recordAfter]);
    await writeStandby();
    expect(read('postgresql.auto.conf')).toContain("recovery_min_apply_delay = '0'");
    const configuration = { inFile: new Map<string, string>() } as unknown as ServerConfiguration;
    expect((await recoveryPlace(server, configuration)).ownDelay).toBe(false);
  });

  test('are readable only by their owner, at the path in the INI file (bug of the original: the password world-readable)', async () => {
    const elsewhere = join(pgdata, 'etc');
    mkdirSync(elsewhere);
    const deps = depsWith({ recovery_conf: join(elsewhere, 'my-recovery.conf') });
    const { capabilities } = directory('9.3');
    const server = serverOf(deps, capabilities);
    await writeRecoverySettings(server, 'standby', recoverySettings(capabilities, standby, place));
    expect(statSync(join(elsewhere, 'my-recovery.conf')).mode & 0o777).toBe(0o600);
    expect(lstatSync(join(pgdata, 'recovery.conf')).isSymbolicLink()).toBe(true);
    expect(read('recovery.conf')).toContain("standby_mode = 'on'");
    expect(existsSync(join(pgdata, 'postgresql.auto.conf'))).toBe(false);

    await clearRecoverySettings(server);
    expect(readdirSync(elsewhere)).toEqual([]);
    expect(existsSync(join(pgdata, 'recovery.conf'))).toBe(false);
  });
});

describe('the configuration files of the standby', () => {
  test('are copied if they differ, and a replaced file is kept unless it is one of ours', async () => {
    const [first, second] = [join(pgdata, 'first'), join(pgdata, 'second')];
    writeFileSync(first, 'one');
    writeFileSync(second, 'two');
    writeFileSync(join(pgdata, 'postgresql.conf'), 'by hand');
    const deps = depsWith({ pg_conf: first, pg_conf_failover: second });
    const kept = 'postgresql.conf.before-pitrtools-20240506T070809Z';

    for (const copy of await planConfCopies(deps.settings, 'standby')) await copyConf(deps, copy);
    expect(read('postgresql.conf')).toBe('one');
    expect(read(kept)).toBe('by hand');
    expect(notices.at(-1)).toContain(kept);
    expect(await planConfCopies(deps.settings, 'standby')).toEqual([]);

    for (const copy of await planConfCopies(deps.settings, 'failover')) await copyConf(deps, copy);
    expect(read('postgresql.conf')).toBe('two');
    expect(readdirSync(pgdata).filter((name) => name.includes('before-pitrtools'))).toEqual([kept]);
  });

  test('of a failover are put into force even if pgdata contains the same bytes already', async () => {
    const [first, second] = [join(pgdata, 'first'), join(pgdata, 'second')];
    writeFileSync(first, 'one');
    for (const path of [second, join(pgdata, 'postgresql.conf')]) writeFileSync(path, 'two');
    const deps = depsWith({ pg_conf: first, pg_conf_failover: second });
    const conf = await failoverConf(serverOf(deps, directory('15').capabilities));
    expect(conf?.files).toEqual([
      { key: 'pg_conf_failover', from: second, to: join(pgdata, 'postgresql.conf') },
    ]);
    expect(conf?.mustRestart).toBe(false);
    expect(
      await failoverConf(serverOf(depsWith({ pg_conf: first }), directory('15').capabilities)),
    ).toBeUndefined();
  });

  test('stay in their place with no_copy_conf, but must exist', async () => {
    const settings = depsWith({ pg_conf: join(pgdata, 'absent'), no_copy_conf: true }).settings;
    await expect(planConfCopies(settings, 'standby')).rejects.toThrow('(key pg_conf)');
    writeFileSync(join(pgdata, 'absent'), '');
    expect(await planConfCopies(settings, 'standby')).toEqual([]);
  });
});

/** A server on timeline 2, which left timeline 1 in its segment 5. */
function forked(walDir: string, fork: string, marks: readonly string[]): string {
  const wal = join(pgdata, walDir);
  const status = join(wal, 'archive_status');
  mkdirSync(status, { recursive: true });
  for (const name of ['000000010000000000000004', '000000010000000000000005', '000000020000000000000005'])
    writeFileSync(join(wal, name), Buffer.alloc(1024 * 1024));
  writeFileSync(join(wal, '00000002.history'), `1\t${fork}\tno recovery target specified\n`);
  for (const file of marks) writeFileSync(join(status, file), '');
  return status;
}

test('up to 9.4 only the last segment of the old timeline is kept from being archived', async () => {
  const files = ['000000010000000000000004.ready', '000000020000000000000005.ready'];
  const marks = [...files, '000000010000000000000005.ready', '00000002.history.ready'];
  const status = forked('pg_xlog', '0/500100', marks);
  await setAsideLastSegment(serverOf(depsWith({}), directory('9.4').capabilities), 2);
  expect(readdirSync(status).sort()).toEqual(
    [...files, '000000010000000000000005.done', '00000002.history.ready'].sort(),
  );
});

test.each([
  ['9.2', 'pg_xlog', '000000010000000000000005'],
  ['18', 'pg_wal', '0/500100'],
])(
  'with archiving off, %s keeps that segment from being archived after archiving is turned on',
  async (major, wal, fork) => {
    const status = forked(wal, fork, []);
    const server = serverOf(depsWith({}), directory(major).capabilities);
    await setAsideLastSegment(server, 2);
    await setAsideLastSegment(server, 2);
    expect(readdirSync(status)).toEqual(['000000010000000000000005.done']);
  },
);
