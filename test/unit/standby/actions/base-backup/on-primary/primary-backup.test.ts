import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseLsn } from '../../../../../../src/postgres/lsn.ts';
import type { BackupContext } from '../../../../../../src/standby/actions/base-backup/context.ts';
import {
  noteBackup,
  readNotedBackup,
} from '../../../../../../src/standby/actions/base-backup/on-primary/backup-note.ts';
import {
  abandonBackup,
  abandonStart,
  type BackupOnPrimary,
  endLeftover,
  startBackup,
  stopBackup,
} from '../../../../../../src/standby/actions/base-backup/on-primary/primary-backup.ts';
import type { StandbyDeps } from '../../../../../../src/standby/deps.ts';
import type { Primary } from '../../../../../../src/standby/primary/primary.ts';
import type { RemoteShell } from '../../../../../../src/system/ssh.ts';
import type { RemoteWork } from '../../../../../../src/system/ssh.ts';
import { scriptOf } from '../../../../remote-work.ts';
import { backupFacts, localPlace, primaryFacts } from '../facts-kit.ts';

const label = 'pitrtools here abc';

let archivedir = '';
beforeEach(() => {
  archivedir = mkdtempSync(join(tmpdir(), 'pitrtools-unit-'));
});
afterEach(() => {
  rmSync(archivedir, { recursive: true });
});

const labelFile = (name: string) => `START WAL LOCATION: 0/5000028 (file 000000010000000000000005)
CHECKPOINT LOCATION: 0/5000060
START TIME: 2026-01-01 00:00:00 UTC
LABEL: ${name}
`;

interface World {
  readonly context: BackupContext;
  readonly state: { onPrimary: BackupOnPrimary };
  /** SQL in the order it was sent; with `undo: ` before what goes through the way that a signal does not close. */
  readonly sent: string[];
  readonly scripts: string[];
}

/** A primary of the given version: answers from a list of patterns, files by their path's end. */
function fakeWorld(
  version: string,
  answers: readonly (readonly [RegExp, readonly (readonly string[])[] | Error])[],
  files: Readonly<Record<string, string>> = {},
): World {
  const sent: string[] = [];
  const scripts: string[] = [];
  const facts = backupFacts({ primary: primaryFacts({}, version), place: localPlace({ archivedir }) });
  const answer = (sql: string) => {
    const found = answers.find(([pattern]) => pattern.test(sql))?.[1] ?? [];
    return found instanceof Error ? Promise.reject(found) : Promise.resolve(found);
  };
  const shell = {
    target: { host: 'primary', user: 'postgres' },
    run: (work: RemoteWork) => {
      const script = scriptOf(work);
      scripts.push(script);
      const name = Object.keys(files).find((path) => script.includes(`/${path}'`));
      const hex = Buffer.from(files[name ?? ''] ?? '').toString('hex');
      return Promise.resolve({ kind: 'done', status: name === undefined ? 1 : 0, lines: [hex] });
    },
  };
  const primary: Primary = {
    shell: shell as unknown as RemoteShell,
    facts: facts.primary,
    query: (sql) => {
      sent.push(sql);
      return answer(sql);
    },
    queryAside: (sql) => {
      sent.push(`aside: ${sql}`);
      return answer(sql);
    },
    queryToUndo: (sql) => {
      sent.push(`undo: ${sql}`);
      return answer(sql);
    },
    lost: new AbortController().signal,
  };
  const deps = {
    settings: { wal_timeout: 1, basebackup_checkpoint: 'fast', base_backup_timeout: 60 },
    log: { debug: () => undefined },
    now: () => 0,
    monotonicMs: () => 0,
    signal: new AbortController().signal,
  } as unknown as StandbyDeps;
  const state: World['state'] = { onPrimary: 'none' };
  return { context: { deps, primary, facts, onEvent: () => undefined }, state, sent, scripts };
}

const clock = [/clock_timestamp/, [['2026-01-01T00:00:01.000000Z']]] as const;
const started = [/cmd_pg_start_backup/, [['0/5000028']]] as const;

describe('a backup in one session (9.6 and later)', () => {
  test('gets both files from the call that ends it', async () => {
    const stopped = [['0/6000000', labelFile(label), '16400 /t\n']];
    const { context, state, scripts } = fakeWorld('15', [clock, started, [/cmd_pg_stop_backup/, stopped]]);
    expect(await startBackup(context, state)).toMatchObject({
      status: 'copying',
      label,
      startSegment: '000000010000000000000005',
      startTime: expect.any(String) as string,
    });
    expect(state.onPrimary).toBe('active');
    expect(await stopBackup(context, state)).toMatchObject({
      stopLsn: parseLsn('0/6000000'),
      labelFile: labelFile(label),
      tablespaceMap: '16400 /t\n',
      record: { stopSegment: '000000010000000000000005', stopLsn: '0/6000000' },
    });
    expect(scripts).toEqual([]);
  });

  test('ends with its session, so that an undo sends nothing', async () => {
    const { context, state, sent } = fakeWorld('15', [clock, started]);
    await startBackup(context, state);
    const before = sent.length;
    await abandonBackup(context, state);
    expect(sent.length).toBe(before);
  });
});

describe('an exclusive backup (up to 9.5)', () => {
  test('gets both files from the data directory before it is ended', async () => {
    const files = { backup_label: labelFile(label), tablespace_map: '16400 /t\n' };
    const { context, state } = fakeWorld(
      '9.5',
      [clock, started, [/cmd_pg_stop_backup/, [['0/6000000', '', '']]]],
      files,
    );
    await startBackup(context, state);
    expect(await stopBackup(context, state)).toMatchObject({
      labelFile: labelFile(label),
      tablespaceMap: '16400 /t\n',
    });
  });

  test('has no tablespace_map up to 9.4', async () => {
    const files = { backup_label: labelFile(label), tablespace_map: 'a leftover' };
    const { context, state } = fakeWorld(
      '8.4',
      [clock, started, [/cmd_pg_stop_backup/, [['0/6000000', '', '']]]],
      files,
    );
    await startBackup(context, state);
    expect((await stopBackup(context, state)).tablespaceMap).toBeUndefined();
  });

  test('is ended by its label if the run fails, also after a signal', async () => {
    const { context, state, sent } = fakeWorld('9.5', [clock, started]);
    await startBackup(context, state);
    await abandonBackup(context, state);
    expect(sent.at(-1)).toMatch(/^undo: SELECT .* FROM "public"\.cmd_pg_stop_backup\('pitrtools here abc'\)/);
    const count = sent.length;
    await abandonBackup(context, state);
    expect(sent.length).toBe(count);
  });

  test('is not ended if its start has failed (bug of the original: stop_basebackup run although start failed, ending a foreign backup)', async () => {
    const { context, state, sent } = fakeWorld('9.5', [
      clock,
      [/cmd_pg_start_backup/, new Error('already in progress')],
    ]);
    await expect(startBackup(context, state)).rejects.toThrow('already in progress');
    await abandonBackup(context, state);
    expect(sent.filter((sql) => sql.includes('stop'))).toEqual([]);
  });

  test('makes the copy unusable if another program has ended it', async () => {
    const { context, state } = fakeWorld('9.5', [clock, started], { backup_label: labelFile('other') });
    await startBackup(context, state);
    await expect(stopBackup(context, state)).rejects.toThrow('was ended on the primary by another session');
  });

  test('is recorded in archivedir from before its start until its end', async () => {
    const { context, state } = fakeWorld('9.5', [
      clock,
      [/cmd_pg_start_backup/, new Error('the connection is lost')],
    ]);
    await expect(startBackup(context, state)).rejects.toThrow();
    expect(await readNotedBackup(archivedir)).toBe(label);
    await abandonBackup(context, state);
    expect(await readNotedBackup(archivedir)).toBeUndefined();
  });

  test('is ended in another session if its start was not answered, once it has begun', async () => {
    const file = [[labelFile(label)]] as const;
    const { context, state, sent } = fakeWorld('9.5', [
      clock,
      [/cmd_pg_start_backup/, new Error('stopped by SIGTERM')],
      [/pg_read_file/, file],
    ]);
    await expect(startBackup(context, state)).rejects.toThrow('SIGTERM');
    const { queryAside } = context.primary;
    let looks = 0;
    const isUnderWay = (sql: string) => sql.includes('pg_stat_activity') && ++looks <= 3;
    const primary: Primary = {
      ...context.primary,
      queryAside: async (sql) => (isUnderWay(sql) ? [['1']] : queryAside(sql)),
    };
    const pauses: number[] = [];
    await abandonBackup({ ...context, primary }, state, (open, name) =>
      abandonStart(open, name, (ms) => {
        pauses.push(ms);
        return Promise.resolve();
      }),
    );
    expect(pauses).toHaveLength(3);
    expect(sent.filter((sql) => sql.includes('stop'))).toEqual([
      expect.stringMatching(/^aside: SELECT .* FROM "public"\.cmd_pg_stop_backup\('pitrtools here abc'\)/),
    ]);
    expect(await readNotedBackup(archivedir)).toBeUndefined();
  });

  test('begins only after the start that a killed run left has ended, and that backup is ended first', async () => {
    const old = 'pitrtools here old';
    const { context, state, sent } = fakeWorld('9.5', [clock, started, [/pg_read_file/, [[labelFile(old)]]]]);
    await startBackup({ ...context, facts: { ...context.facts, notedBackup: old } }, state);
    expect(sent.filter((sql) => /cmd_pg_(start|stop)/.test(sql))).toEqual([
      expect.stringMatching(/^aside: .*cmd_pg_stop_backup\('pitrtools here old'\)/),
      expect.stringContaining("cmd_pg_start_backup('pitrtools here abc'"),
    ]);
    expect(await readNotedBackup(archivedir)).toBe(label);
  });

  test('stays recorded if its start does not end within the limit', async () => {
    const { context, state } = fakeWorld('9.5', [clock, [/pg_stat_activity/, [['1']]]]);
    let now = 0;
    const deps = { ...context.deps, monotonicMs: () => now };
    await noteBackup(archivedir, label);
    state.onPrimary = 'starting';
    const open = { ...context, deps };
    const pause = (ms: number) => {
      now += ms;
      return Promise.resolve();
    };
    await expect(
      abandonBackup(open, state, (there, name) => abandonStart(there, name, pause)),
    ).rejects.toThrow('the primary is still beginning the backup "pitrtools here abc"');
    expect(await readNotedBackup(archivedir)).toBe(label);
  });

  test('is ended by its own label if a killed run left it', async () => {
    const { context, sent } = fakeWorld('9.5', []);
    await endLeftover(context, 'pitrtools here old');
    expect(sent).toEqual([expect.stringContaining("cmd_pg_stop_backup('pitrtools here old')")]);
  });
});
