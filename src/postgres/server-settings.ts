/** The facts that a server reports about itself, in one query that every release answers. */
import { PitrError } from '../errors.ts';
import type { SqlRow } from './backup-sql.ts';
import type { Capabilities } from './capabilities.ts';
import { isSegmentSize } from './lsn.ts';
import { type LimitName, limitNames, type Limits } from './standby-limits.ts';

export interface ServerSettings {
  readonly inRecovery: boolean;
  /** Undefined if the role lacks the right to read it (`pg_read_all_settings` from 10, otherwise a superuser). */
  readonly dataDirectory: string | undefined;
  readonly configFile: string | undefined;
  readonly hbaFile: string | undefined;
  readonly identFile: string | undefined;
  /** In bytes. */
  readonly walSegmentSize: number;
  readonly archiveMode: 'off' | 'on' | 'always';
  readonly archiveCommand: string;
  /** Empty before 15. */
  readonly archiveLibrary: string;
  readonly dataChecksums: boolean;
  readonly timeZone: string;
  /** `max_connections` and the other settings that a hot standby must not have lower, by name. */
  readonly standbyLimits: Limits;
}

const settingNames = [
  'data_directory',
  'config_file',
  'hba_file',
  'ident_file',
  'archive_mode',
  'archive_command',
  'archive_library',
  'data_checksums',
  'TimeZone',
  ...limitNames,
];

/** Rows of name and value; settings that the release does not have are missing. */
export function serverSettingsSql(capabilities: Capabilities): string {
  const names = settingNames.map((name) => `'${name}'`).join(', ');
  const inRecovery =
    capabilities.isInRecoveryFunction === undefined
      ? "'false'"
      : `${capabilities.isInRecoveryFunction}()::text`;
  return (
    `SELECT name, setting FROM pg_settings WHERE name IN (${names}) ` +
    // Up to 10 the size is given in WAL pages.
    "UNION ALL SELECT 'wal_segment_size', (s.setting::bigint * CASE s.unit WHEN 'B' THEN 1 ELSE b.setting::bigint END)::text " +
    "FROM pg_settings s, pg_settings b WHERE s.name = 'wal_segment_size' AND b.name = 'wal_block_size' " +
    `UNION ALL SELECT 'in_recovery', ${inRecovery}`
  );
}

export function parseServerSettings(rows: readonly SqlRow[]): ServerSettings {
  const values = new Map(rows.map(([name, value]) => [name ?? '', value ?? '']));
  const path = (name: string) => (values.get(name) === '' ? undefined : values.get(name));
  return {
    inRecovery: /^t/.test(needed(values, 'in_recovery')),
    dataDirectory: path('data_directory'),
    configFile: path('config_file'),
    hbaFile: path('hba_file'),
    identFile: path('ident_file'),
    walSegmentSize: segmentSizeOf(values),
    archiveMode: archiveModeOf(needed(values, 'archive_mode')),
    archiveCommand: values.get('archive_command') ?? '',
    archiveLibrary: values.get('archive_library') ?? '',
    dataChecksums: values.get('data_checksums') === 'on',
    timeZone: needed(values, 'TimeZone'),
    standbyLimits: new Map(limitNames.flatMap((name) => limitOf(values, name))),
  };
}

type Values = ReadonlyMap<string, string>;

function limitOf(values: Values, name: LimitName): [LimitName, number][] {
  return values.has(name) ? [[name, numberOf(values, name)]] : [];
}

function segmentSizeOf(values: Values): number {
  const size = numberOf(values, 'wal_segment_size');
  if (isSegmentSize(size)) return size;
  throw new PitrError(`the server reports an impossible WAL segment size: ${size} bytes`);
}

function archiveModeOf(value: string): ServerSettings['archiveMode'] {
  return value === 'on' || value === 'always' ? value : 'off';
}

function numberOf(values: Values, name: string): number {
  const value = Number(needed(values, name));
  if (Number.isInteger(value)) return value;
  throw new PitrError(`the server reports no number for ${name}: '${values.get(name) ?? ''}'`);
}

function needed(values: Values, name: string): string {
  const value = values.get(name);
  if (value === undefined) throw new PitrError(`the server does not report its setting ${name}`);
  return value;
}
