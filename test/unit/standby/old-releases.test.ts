/**
 * What is sent to releases that no test server is to be had of: the exact SQL and the exact calls of pg_ctl, from 8.4 to 9.6.
 * A reader can check each line against the manual of its release. The settings files are in recovery-settings.test.ts.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  exclusiveBackupLabelSql,
  startExclusiveBackupSql,
  stopExclusiveBackupSql,
  switchWalSql,
  tablespacesSql,
  walPositionSql,
} from '../../../src/postgres/backup-sql.ts';
import { type Capabilities, capabilitiesOf } from '../../../src/postgres/capabilities.ts';
import { serverSettingsSql } from '../../../src/postgres/server-settings.ts';
import { parseVersion } from '../../../src/postgres/version.ts';
import { verifyWrite } from '../../../src/standby/actions/failover/verify.ts';
import type { StandbyDeps } from '../../../src/standby/deps.ts';
import {
  promoteServerProgram,
  startServerProgram,
  stopServerProgram,
} from '../../../src/standby/server/local-server.ts';
import { serverOf } from '../../../src/standby/server/server.ts';
import type { CommandLine } from '../../../src/system/command.ts';

const majors = ['8.4', '9.0', '9.1', '9.2', '9.3', '9.4', '9.5', '9.6'];

/** Each text with the releases that get it: `8.4: a`, `9.2: b` means a from 8.4 to 9.1 and b from 9.2. */
async function byRelease(
  textOf: (capabilities: Capabilities) => string | undefined | Promise<string | undefined>,
): Promise<string[]> {
  const lines: string[] = [];
  let before: string | undefined = 'none yet';
  for (const major of majors) {
    const text = await textOf(capabilitiesOf(parseVersion(major)));
    if (text !== before) lines.push(`${major}: ${text ?? 'none'}`);
    before = text;
  }
  return lines;
}

test('the primary gets only known SQL beside the helper functions', async () => {
  expect(await byRelease(serverSettingsSql)).toMatchInlineSnapshot(`
    [
      "8.4: SELECT name, setting FROM pg_settings WHERE name IN ('data_directory', 'config_file', 'hba_file', 'ident_file', 'archive_mode', 'archive_command', 'archive_library', 'data_checksums', 'TimeZone', 'max_connections', 'max_worker_processes', 'max_wal_senders', 'max_prepared_transactions', 'max_locks_per_transaction') UNION ALL SELECT 'wal_segment_size', (s.setting::bigint * CASE s.unit WHEN 'B' THEN 1 ELSE b.setting::bigint END)::text FROM pg_settings s, pg_settings b WHERE s.name = 'wal_segment_size' AND b.name = 'wal_block_size' UNION ALL SELECT 'in_recovery', 'false'",
      "9.0: SELECT name, setting FROM pg_settings WHERE name IN ('data_directory', 'config_file', 'hba_file', 'ident_file', 'archive_mode', 'archive_command', 'archive_library', 'data_checksums', 'TimeZone', 'max_connections', 'max_worker_processes', 'max_wal_senders', 'max_prepared_transactions', 'max_locks_per_transaction') UNION ALL SELECT 'wal_segment_size', (s.setting::bigint * CASE s.unit WHEN 'B' THEN 1 ELSE b.setting::bigint END)::text FROM pg_settings s, pg_settings b WHERE s.name = 'wal_segment_size' AND b.name = 'wal_block_size' UNION ALL SELECT 'in_recovery', pg_is_in_recovery()::text",
    ]
  `);
  expect(await byRelease(tablespacesSql)).toMatchInlineSnapshot(`
    [
      "8.4: SELECT oid, spcname, location FROM (SELECT oid, spcname, spclocation AS location FROM pg_tablespace) AS t WHERE location LIKE '/%' ORDER BY oid",
      "9.2: SELECT oid, spcname, location FROM (SELECT oid, spcname, pg_tablespace_location(oid) AS location FROM pg_tablespace) AS t WHERE location LIKE '/%' ORDER BY oid",
    ]
  `);
  expect(await byRelease(walPositionSql)).toMatchInlineSnapshot(`
    [
      "8.4: SELECT here::text, pg_xlogfile_name(here) FROM (SELECT pg_current_xlog_location() AS here OFFSET 0) AS p",
    ]
  `);
  expect(await byRelease(switchWalSql)).toMatchInlineSnapshot(`
    [
      "8.4: SELECT pg_xlogfile_name(pg_switch_xlog())",
    ]
  `);
  expect(await byRelease(exclusiveBackupLabelSql)).toMatchInlineSnapshot(`
    [
      "8.4: SELECT pg_read_file('backup_label', 0, 100000) WHERE 'backup_label' IN (SELECT pg_ls_dir('.'))",
      "9.1: SELECT pg_read_file('backup_label') WHERE 'backup_label' IN (SELECT pg_ls_dir('.'))",
    ]
  `);
  expect(await byRelease((of) => startExclusiveBackupSql(of, 'pitrtools b 1', true))).toMatchInlineSnapshot(`
    [
      "8.4: SELECT pg_start_backup('pitrtools b 1', true)",
    ]
  `);
  expect(await byRelease((of) => stopExclusiveBackupSql(of, 'pitrtools b 1'))).toMatchInlineSnapshot(`
    [
      "8.4: SELECT * FROM (SELECT pg_stop_backup() WHERE CASE WHEN 'backup_label' IN (SELECT pg_ls_dir('.')) THEN 'LABEL: pitrtools b 1' = ANY (string_to_array(pg_read_file('backup_label', 0, 100000), E'\\n')) ELSE false END) AS ours",
      "9.1: SELECT * FROM (SELECT pg_stop_backup() WHERE CASE WHEN 'backup_label' IN (SELECT pg_ls_dir('.')) THEN 'LABEL: pitrtools b 1' = ANY (string_to_array(pg_read_file('backup_label'), E'\\n')) ELSE false END) AS ours",
    ]
  `);
});

describe('the server of this host on an old release', () => {
  let pgdata: string;
  let pgCtl: string;
  beforeEach(() => {
    pgdata = mkdtempSync(join(tmpdir(), 'pitrtools-unit-'));
    pgCtl = join(pgdata, 'pg_ctl');
    writeFileSync(pgCtl, '');
    chmodSync(pgCtl, 0o755);
  });
  afterEach(() => {
    rmSync(pgdata, { recursive: true });
  });

  /** A host whose pg_ctl does nothing but print its version, and whose clock runs a second at each look. */
  function host(capabilities: Capabilities) {
    const calls: string[] = [];
    const statements: string[] = [];
    let second = 0;
    const deps = {
      settings: {
        pgdata,
        pg_ctl: { program: pgCtl, args: [] },
        includepath: [],
        logfile: '/log',
        start_timeout: 1,
        user: 'postgres',
      },
      signal: new AbortController().signal,
      now: () => second * 1000,
      monotonicMs: () => (second += 1) * 1000,
      pause: () => Promise.resolve(),
      nonce: () => 'nonce',
      report: () => undefined,
      run: ({ args }: CommandLine) => {
        const isQuestion = args[0] === '--version';
        if (!isQuestion) calls.push(args.join(' ').replaceAll(pgdata, 'PGDATA'));
        const stdout = isQuestion ? `pg_ctl (PostgreSQL) ${capabilities.version.major}.1` : '';
        return Promise.resolve({ kind: 'exited', code: 0, stdout, stderr: '' });
      },
      withLocalSql: async (_server: unknown, _limit: number, use: (sql: unknown) => Promise<unknown>) => {
        const sql = (text: string) => {
          statements.push(text);
          return Promise.resolve([{ segment: '00000002000000000000000A', recovering: false }]);
        };
        return { kind: 'answered', value: await use(sql) };
      },
    } as unknown as StandbyDeps;
    return { deps, calls, statements };
  }

  test('is started, stopped and promoted by these calls of pg_ctl', async () => {
    const calls = await byRelease(async (capabilities) => {
      const { deps, calls: made } = host(capabilities);
      const parameters = new Map([['config_file', "/etc/it's/postgresql.conf"]]);
      const configuration = { configFile: '/x', parameters, inFile: new Map<string, string>() };
      const server = serverOf(deps, capabilities);
      await startServerProgram(server, configuration);
      if (capabilities.hasPgCtlPromote) await promoteServerProgram(server);
      await stopServerProgram(server);
      return made.join('; ');
    });
    expect(calls).toMatchInlineSnapshot(`
      [
        "8.4: -D PGDATA -W -l /log -o -c config_file='/etc/it'\\''s/postgresql.conf' start; -D PGDATA -m fast -W stop",
        "9.1: -D PGDATA -W -l /log -o -c config_file='/etc/it'\\''s/postgresql.conf' start; -D PGDATA -W promote; -D PGDATA -m fast -W stop",
      ]
    `);
  });

  test('is tested by these statements for a write', async () => {
    const statements = await byRelease(async (capabilities) => {
      const { deps, statements: made } = host(capabilities);
      expect(await verifyWrite(serverOf(deps, capabilities))).toBe(2);
      return made.join('; ');
    });
    expect(statements).toMatchInlineSnapshot(`
      [
        "8.4: BEGIN READ WRITE; CREATE SCHEMA "pitrtools_nonce"; CREATE TABLE "pitrtools_nonce".written (at timestamptz); INSERT INTO "pitrtools_nonce".written VALUES (now()); DROP SCHEMA "pitrtools_nonce" CASCADE; COMMIT; SELECT pg_xlogfile_name(pg_current_xlog_location()) AS segment",
        "9.0: SELECT pg_is_in_recovery() AS recovering; BEGIN READ WRITE; CREATE SCHEMA "pitrtools_nonce"; CREATE TABLE "pitrtools_nonce".written (at timestamptz); INSERT INTO "pitrtools_nonce".written VALUES (now()); DROP SCHEMA "pitrtools_nonce" CASCADE; COMMIT; SELECT pg_xlogfile_name(pg_current_xlog_location()) AS segment",
        "9.1: SELECT pg_is_in_recovery() AS recovering; BEGIN READ WRITE; SET LOCAL synchronous_commit TO local; CREATE SCHEMA "pitrtools_nonce"; CREATE TABLE "pitrtools_nonce".written (at timestamptz); INSERT INTO "pitrtools_nonce".written VALUES (now()); DROP SCHEMA "pitrtools_nonce" CASCADE; COMMIT; SELECT pg_xlogfile_name(pg_current_xlog_location()) AS segment",
      ]
    `);
  });
});
