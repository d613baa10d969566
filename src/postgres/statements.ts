/**
 * The SQL that a standby may have run on its primary by a restricted key: statements by name, with typed arguments. The
 * other end makes the text itself, for its own release. Where the key has a shell, the text is sent as ever: it names its
 * statement by itself, because all of them are known here.
 */
import {
  checkpointSql,
  dataDirectoriesSql,
  dataDirectorySql,
  exclusiveBackupLabelSql,
  installedHelpersSql,
  mayCheckpointSql,
  serverVersionSql,
  sessionsNamingSql,
  startBackupSql,
  startExclusiveBackupSql,
  stopBackupSql,
  stopExclusiveBackupSql,
  switchWalSql,
  tablespaceSizesSql,
  tablespacesSql,
  walPositionSql,
  writeWalRecordSql,
} from './backup-sql.ts';
import { type Capabilities, capabilitiesOf } from './capabilities.ts';
import { serverSettingsSql } from './server-settings.ts';
import {
  archiverStatisticsSql,
  beatSql,
  checkpointTimeoutSql,
  clockSql,
  collationsSql,
  icuSql,
  inRecoverySql,
  replayedSql,
  sourceStateSql,
  startedSql,
  walDirectorySql,
} from './server-sql.ts';
import { sessionStatements } from './session-settings.ts';
import {
  isStandbyRole,
  isVerifier,
  makeRoleSql,
  requireReplicationRoles,
  roleStateSql,
} from './standby-role.ts';
import { dropSlotSql, isStreamSlot, makeSlotSql, slotSettingsSql, slotsSql } from './stream-slot.ts';
import { parseVersion } from './version.ts';

/** The words in the place of an argument. None contains a quote or a backslash: it is the same in every literal. */
interface Kind {
  readonly what: string;
  readonly accepts: (word: string) => boolean;
}

const schema: Kind = {
  what: 'the name of a schema',
  accepts: (word) => /^[^\p{C}'"\\]{1,63}$/u.test(word),
};

/** Only a backup that a cmd_standby began is ever ended. */
const label: Kind = {
  what: 'the label of a backup of cmd_standby',
  accepts: (word) => /^pitrtools [\x20-\x7e]{1,190}$/.test(word) && !/['"\\]/.test(word),
};

const role: Kind = { what: 'the role of a host of ours', accepts: isStandbyRole };

const verifier: Kind = { what: 'a password as the server stores it', accepts: isVerifier };

const slot: Kind = { what: 'a slot of a standby of ours', accepts: isStreamSlot };

type Kinds = readonly Kind[];

interface Statement {
  readonly takes: Kinds;
  /** Calls a helper function, in the schema that is the first argument. */
  readonly callsHelper: boolean;
  /** Undefined where the release has no such statement; a function that does not know the release may throw as well. */
  readonly sql: (capabilities: Capabilities, ...words: readonly string[]) => string | undefined;
}

function plain(sql: (capabilities: Capabilities) => string | undefined): Statement {
  return { takes: [], callsHelper: false, sql };
}

function withWords(
  takes: Kinds,
  sql: (capabilities: Capabilities, ...words: readonly string[]) => string,
): Statement {
  return { takes, callsHelper: takes[0] === schema, sql };
}

const session = Object.fromEntries(
  sessionStatements(0).map((sql, index) => [`session-${index + 1}`, plain(() => sql)] as const),
);

const statements: Readonly<Record<string, Statement>> = {
  ...session,
  beat: plain(() => beatSql),
  version: plain(() => serverVersionSql),
  settings: plain(serverSettingsSql),
  started: plain(() => startedSql),
  clock: plain(() => clockSql),
  tablespaces: plain(tablespacesSql),
  'tablespace-sizes': plain(tablespaceSizesSql),
  collations: plain(collationsSql),
  icu: plain(icuSql),
  'wal-position': plain(walPositionSql),
  replayed: plain(replayedSql),
  'wal-directory': plain(walDirectorySql),
  'in-recovery': plain(inRecoverySql),
  'source-state': plain(sourceStateSql),
  'archiver-statistics': plain(() => archiverStatisticsSql),
  'installed-helpers': plain(() => installedHelpersSql),
  'data-directories': withWords([schema], (_none, name = '') => dataDirectoriesSql(name)),
  'data-directory': withWords([schema], (_none, name = '') => dataDirectorySql(name)),
  'start-backup-fast': withWords([schema, label], (capabilities, name = '', text = '') =>
    startBackupSql(capabilities, name, text, true),
  ),
  'start-backup-spread': withWords([schema, label], (capabilities, name = '', text = '') =>
    startBackupSql(capabilities, name, text, false),
  ),
  'stop-backup': withWords([schema, label], (_none, name = '', text = '') => stopBackupSql(name, text)),
  'sessions-naming': withWords([label], (_none, text = '') => sessionsNamingSql(text)),
  'exclusive-backup': plain(exclusiveBackupLabelSql),
  'start-exclusive-fast': withWords([label], (capabilities, text = '') =>
    startExclusiveBackupSql(capabilities, text, true),
  ),
  'start-exclusive-spread': withWords([label], (capabilities, text = '') =>
    startExclusiveBackupSql(capabilities, text, false),
  ),
  'stop-exclusive': withWords([label], (capabilities, text = '') =>
    stopExclusiveBackupSql(capabilities, text),
  ),
  'may-checkpoint': plain(mayCheckpointSql),
  checkpoint: plain(() => checkpointSql),
  'checkpoint-timeout': plain(() => checkpointTimeoutSql),
  'write-wal-record': plain(() => writeWalRecordSql),
  'switch-wal': plain(switchWalSql),
  'slot-settings': plain(slotSettingsSql),
  slots: plain(slotsSql),
  'make-slot': withWords([slot], (capabilities, name = '') => makeSlotSql(capabilities, name)),
  'drop-slot': withWords([slot], (_none, name = '') => dropSlotSql(name)),
  'role-state': withWords([role], (capabilities, name = '') => {
    requireReplicationRoles(capabilities);
    return roleStateSql(name);
  }),
  'make-role': withWords([role, verifier], (capabilities, name = '', text = '') => {
    requireReplicationRoles(capabilities);
    return makeRoleSql(name, text);
  }),
};

/** A statement that is asked for, as its name and its words. */
export interface NamedStatement {
  readonly name: string;
  readonly words: readonly string[];
}

/** Each release that has SQL of its own. A newer one is taken for the last. */
const releases = [
  ...['8.4', '9.0', '9.1', '9.2', '9.3', '9.4', '9.5', '9.6'],
  ...['10', '11', '12', '13', '14', '15', '16', '17', '18', '19'],
];

function sqlFor(
  { sql }: Statement,
  capabilities: Capabilities,
  words: readonly string[],
): string | undefined {
  try {
    return sql(capabilities, ...words);
  } catch {
    return undefined;
  }
}

/** Marks the place of an argument in a text. Two halves of a mark are marks: a statement may cut its argument. */
const marks = ['@0@0', '@1@1'];
const markPattern = /@([01])@\1|@([01])/g;

interface Pattern {
  readonly name: string;
  readonly text: RegExp;
  /** The argument of each group, in order. */
  readonly groups: readonly number[];
  readonly takes: Kinds;
}

function patternOf(name: string, takes: Kinds, sql: string): Pattern {
  const groups = [...sql.matchAll(markPattern)].map(([, whole, half]) => Number(whole ?? half));
  const literal = sql.split(/@[01]@[01]|@[01]/).map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
  return { name, text: new RegExp(`^${literal.join(`([^'"\\\\]*)`)}$`), groups, takes };
}

/** The statements of that release, with these words in the places of their arguments. */
export function statementsOf(
  release: string,
  wordFor: (what: string, index: number) => string,
): readonly (NamedStatement & { readonly sql: string })[] {
  const capabilities = capabilitiesOf(parseVersion(release));
  return Object.entries(statements).flatMap(([name, statement]) => {
    const words = statement.takes.map(({ what }, index) => wordFor(what, index));
    const sql = sqlFor(statement, capabilities, words);
    return sql === undefined ? [] : [{ name, words, sql }];
  });
}

let known: readonly Pattern[] | undefined;

function patterns(): readonly Pattern[] {
  if (known !== undefined) return known;
  const found = new Map<string, Pattern>();
  for (const release of releases) {
    for (const { name, sql } of statementsOf(release, (_what, index) => marks[index] ?? '')) {
      const takes = statements[name]?.takes ?? [];
      if (!found.has(sql)) found.set(sql, patternOf(name, takes, sql));
    }
  }
  known = [...found.values()];
  return known;
}

/** The statement that this text is; undefined if a restricted key has none such. */
export function nameStatement(sql: string): NamedStatement | undefined {
  for (const { name, text, groups, takes } of patterns()) {
    const match = text.exec(sql);
    if (match === null) continue;
    const words = takes.map((_kind, index) =>
      groups.map((argument, group) => (argument === index ? (match[group + 1] ?? '') : '')).join(''),
    );
    if (takes.every((kind, index) => kind.accepts(words[index] ?? ''))) return { name, words };
  }
  return undefined;
}

export type ReadStatement =
  | {
      readonly kind: 'statement';
      readonly sql: string;
      /** The schema whose helper functions it calls. */
      readonly helperSchema: string | undefined;
    }
  | { readonly kind: 'refused'; readonly reason: string };

/** Reads a statement that the other end asks for, and makes its text for the release of the server here. */
export function readStatement({ name, words }: NamedStatement, capabilities: Capabilities): ReadStatement {
  const statement = Object.hasOwn(statements, name) ? statements[name] : undefined;
  const refused = (reason: string): ReadStatement => ({ kind: 'refused', reason });
  if (statement === undefined) return refused('no statement of this name is known');
  const { takes, callsHelper } = statement;
  if (words.length !== takes.length)
    return refused(`${name} takes ${takes.length} arguments, not ${words.length}`);
  const wrong = takes.find((kind, index) => !kind.accepts(words[index] ?? ''));
  if (wrong !== undefined) return refused(`${name}: an argument is not ${wrong.what}`);
  const sql = sqlFor(statement, capabilities, words);
  if (sql === undefined) return refused(`${name} does not exist in PostgreSQL ${capabilities.version.major}`);
  return { kind: 'statement', sql, helperSchema: callsHelper ? words[0] : undefined };
}
