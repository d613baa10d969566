import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { capabilitiesOf } from '../../../../src/postgres/capabilities.ts';
import { conninfo } from '../../../../src/postgres/quoting.ts';
import type { RecoveryTargetSettings } from '../../../../src/postgres/recovery-target.ts';
import { settingsIn, withSettings } from '../../../../src/postgres/settings-file.ts';
import { parseVersion } from '../../../../src/postgres/version.ts';
import {
  recoveryConfText,
  type RecoveryMode,
  type RecoveryPlace,
  recoverySettings,
  type Streaming,
} from '../../../../src/standby/recovery/settings.ts';

const majors = [
  '8.4',
  '9.0',
  '9.1',
  '9.2',
  '9.3',
  '9.4',
  '9.5',
  '9.6',
  '10',
  '11',
  '12',
  '13',
  '14',
  '15',
  '16',
  '17',
  '18',
];

const place: RecoveryPlace = {
  launcher: '/var/lib/postgresql/pitrtools/bin/cmd_standby',
  archivedir: '/var/lib/postgresql/archive',
  iniFile: '/var/lib/postgresql/pitrtools/etc/cmd_standby.ini',
  pgStandby: { program: '/usr/lib/postgresql/8.4/bin/pg_standby', args: [] },
  pgArchivecleanup: { program: '/usr/lib/postgresql/15/bin/pg_archivecleanup', args: [] },
  keepsStreamed: false,
  ownCleanup: false,
  ownRetryInterval: false,
  ownDelay: false,
  ownTargets: [],
};

const primary = {
  host: 'bitarena',
  port: 5432,
  user: 'replication',
  password: 'changeme',
  sslmode: 'prefer',
  application_name: 'bitarena-clone',
};

const streaming: Streaming = {
  conninfo: conninfo(primary),
  triggerFile: '/var/lib/postgresql/pitrtools/cmd_end_recovery',
};

const toTime: RecoveryTargetSettings = {
  goal: { kind: 'time', micros: 1_211_997_638_059_389n },
  exclusive: false,
  timeline: 'latest',
  action: 'promote',
};

const goals: readonly RecoveryTargetSettings[] = [
  toTime,
  { ...toTime, goal: { kind: 'xid', xid: 4711 }, exclusive: true },
  { ...toTime, goal: { kind: 'lsn', lsn: 0x1_2500_0020n }, timeline: 'current' },
  { ...toTime, goal: { kind: 'name', name: "before 'it'" } },
  { ...toTime, goal: { kind: 'immediate' } },
];

const capabilities = (major: string) => capabilitiesOf(parseVersion(major));

function written(major: string, mode: RecoveryMode, where = place) {
  const known = capabilities(major);
  const settings = recoverySettings(known, mode, where);
  return {
    'recovery.conf':
      settings.recoveryConf.size > 0 ? recoveryConfText(known, settings.recoveryConf) : undefined,
    parameters: Object.fromEntries(settings.parameters),
    signal: settings.signal,
  };
}

describe.each(majors)('the recovery settings of PostgreSQL %s', (major) => {
  test('are these for a warm standby', () => {
    expect(written(major, { kind: 'standby', streaming: undefined })).toMatchSnapshot();
  });

  test.skipIf(!capabilities(major).streaming)('are these for a streaming standby', () => {
    expect(written(major, { kind: 'standby', streaming })).toMatchSnapshot();
  });

  test.skipIf(!capabilities(major).streaming)('contain a password that each language must quote', () => {
    const password = `it's a "pass" \\word 100%`;
    const { recoveryConf, parameters } = recoverySettings(
      capabilities(major),
      { kind: 'standby', streaming: { ...streaming, conninfo: conninfo({ ...primary, password }) } },
      place,
    );
    const written =
      recoveryConf.size > 0
        ? recoveryConfText(capabilities(major), recoveryConf)
        : withSettings('', { set: parameters });
    expect(written.split('\n').find((line) => line.startsWith('primary_conninfo'))).toMatchSnapshot();
  });

  test('are these for a recovery to the end, and for no recovery', () => {
    expect(written(major, { kind: 'to-end' })).toMatchSnapshot();
    expect(written(major, { kind: 'hold' })).toMatchSnapshot();
  });

  const { recoveryTargets, targetActions } = capabilities(major);

  test.each(goals.filter(({ goal }) => recoveryTargets.includes(goal.kind)))(
    'are these for a recovery to $goal.kind',
    (target) => {
      expect(written(major, { kind: 'to-target', target })).toMatchSnapshot();
    },
  );

  test.each(targetActions)('are these at the target: %s', (action) => {
    const target = { ...toTime, action, timeline: 3 };
    expect(written(major, { kind: 'to-target', target })).toMatchSnapshot();
  });

  test('a signal file is written only from 12 on, and recovery.conf only before', () => {
    const standby = written(major, { kind: 'standby', streaming: undefined });
    expect(standby.signal === undefined).toBe(standby['recovery.conf'] !== undefined);
    expect(written(major, { kind: 'to-end' }).signal).toBe(
      standby.signal === undefined ? undefined : 'recovery.signal',
    );
  });

  test('every value in recovery.conf is read back unchanged (bug of the original: values pasted unescaped into recovery.conf)', () => {
    const known = capabilities(major);
    const hostile = major === '8.4' ? 'a b"\\%$`x' : `it's a "b\\%$\`x`;
    const where = { ...place, archivedir: `/srv/${hostile}`, launcher: `/opt/${hostile}/bin/cmd_standby` };
    const mode: RecoveryMode = {
      kind: 'standby',
      streaming: known.streaming
        ? { conninfo: conninfo({ ...primary, password: `pass' \\word%` }), triggerFile: '/tmp/t r' }
        : undefined,
    };
    const settings = recoverySettings(known, mode, where);
    if (settings.recoveryConf.size === 0) return;
    const text = recoveryConfText(known, settings.recoveryConf);
    expect(settingsIn(text, known.recoveryConfSyntax)).toEqual(settings.recoveryConf);
  });
});

test('a parameter that recovery.conf does not know is not written there before 12', () => {
  const settings = recoverySettings(capabilities('9.6'), { kind: 'standby', streaming: undefined }, place);
  expect([...settings.recoveryConf.keys()]).not.toContain('wal_retrieve_retry_interval');
  expect([...settings.parameters.keys()]).toEqual(['wal_retrieve_retry_interval']);
});

test("a target in the server's own configuration is overridden, together with its timeline and action", () => {
  const where = { ...place, ownTargets: ['recovery_target_time', 'recovery_target_timeline'] };
  const { parameters } = recoverySettings(
    capabilities('15'),
    { kind: 'standby', streaming: undefined },
    where,
  );
  expect(parameters.get('recovery_target_time')).toBe('');
  expect(parameters.get('recovery_target_timeline')).toBe('latest');
});

test("the user's own wal_retrieve_retry_interval is kept", () => {
  const where = { ...place, ownRetryInterval: true };
  const settings = recoverySettings(capabilities('15'), { kind: 'standby', streaming: undefined }, where);
  expect([...settings.parameters.keys()]).not.toContain('wal_retrieve_retry_interval');
});

test('a delayed standby has its delay in the settings, and a recovery to a target runs without one', () => {
  const delayed = { kind: 'standby', streaming: undefined, delay: '4h' } as const;
  expect(
    recoverySettings(capabilities('15'), delayed, place).parameters.get('recovery_min_apply_delay'),
  ).toBe('4h');
  expect(
    recoverySettings(capabilities('11'), delayed, place).recoveryConf.get('recovery_min_apply_delay'),
  ).toBe('4h');
  const target = { kind: 'to-target', target: toTime } as const;
  const delayOf = (where: RecoveryPlace) =>
    recoverySettings(capabilities('15'), target, where).parameters.get('recovery_min_apply_delay');
  expect(delayOf({ ...place, ownDelay: true })).toBe('0');
  expect(delayOf(place)).toBeUndefined();
});

test('a quote in a path is refused for 8.4, which cannot read it', () => {
  const where = { ...place, archivedir: "/srv/it's" };
  const known = capabilities('8.4');
  const { recoveryConf } = recoverySettings(known, { kind: 'to-end' }, where);
  expect(() => recoveryConfText(known, recoveryConf)).toThrow(
    /recovery\.conf of PostgreSQL 8\.4 cannot hold/,
  );
});

test('no password is written if there is none, and .pgpass is used', () => {
  expect(conninfo({ ...primary, password: undefined })).toBe(
    'host=bitarena port=5432 user=replication sslmode=prefer application_name=bitarena-clone',
  );
});

describe('the restore_command in a real shell', () => {
  let directory: string | undefined;
  afterEach(() => {
    if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
  });

  test('passes its words on unchanged, whatever the paths contain', () => {
    directory = mkdtempSync(join(tmpdir(), 'pitrtools-unit-'));
    const folder = join(directory, `it's 100%p of "a" \\ $HOME \`b\` -x`);
    mkdirSync(folder);
    const launcher = join(folder, 'cmd_standby');
    writeFileSync(launcher, '#!/bin/sh\nprintf "%s\\n" "$@"\n', { mode: 0o700 });
    const settings = recoverySettings(
      capabilities('15'),
      { kind: 'to-end' },
      { ...place, launcher, archivedir: folder },
    );
    // As the server does it: %% is a per cent sign, %f and %p are replaced.
    const command = (settings.parameters.get('restore_command') ?? '').replaceAll(
      /%(.)/g,
      (_, letter: string) => ({ f: '000000010000000000000001', p: 'pg_wal/RECOVERYXLOG' })[letter] ?? letter,
    );
    const words = execFileSync('/bin/sh', ['-c', command], { encoding: 'utf8' }).split('\n');
    expect(words).toEqual([
      '--restore',
      'target',
      folder,
      '000000010000000000000001',
      'pg_wal/RECOVERYXLOG',
      '',
    ]);
  });
});

describe('archive_cleanup_command of a standby that streams and keeps WAL by a slot', () => {
  const mode = { kind: 'standby', streaming } as const;
  const command = (version: string, changes: Partial<RecoveryPlace>, given: RecoveryMode = mode) => {
    const capabilities = capabilitiesOf(parseVersion(version));
    const settings = recoverySettings(capabilities, given, { ...place, keepsStreamed: true, ...changes });
    return new Map([...settings.recoveryConf, ...settings.parameters]).get('archive_cleanup_command');
  };
  const ours = `"${place.launcher}" --restartpoint "${place.iniFile}" "%r"`;
  const program = '"/usr/lib/postgresql/15/bin/pg_archivecleanup" "/var/lib/postgresql/archive"';

  test.each(['11', '15', '18'])('is our launcher on %s, which gets the program', (version) => {
    expect(command(version, {})).toBe(`${ours} ${program}`);
    expect(command(version, { pgArchivecleanup: undefined })).toBe(ours);
  });

  test("is the user's own if he has one and the INI names no program", () => {
    expect(command('15', { pgArchivecleanup: undefined, ownCleanup: true })).toBeUndefined();
    expect(command('15', { ownCleanup: true })).toBe(`${ours} ${program}`);
  });

  test('stays ours when a failover starts the standby without streaming: another one would end the slot', () => {
    expect(command('15', {}, { kind: 'standby', streaming: undefined })).toBe(`${ours} ${program}`);
  });

  test('is the program alone where nothing is streamed', () => {
    expect(command('15', { keepsStreamed: false })).toBe(`${program} "%r"`);
  });
});
