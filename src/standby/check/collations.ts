/** Whether the text order of this host's libraries is that with which the indexes were made. Pure. */
import { failure, good, skipped, unknown, type Verdict } from '../../check/check.ts';
import type { Capabilities } from '../../postgres/capabilities.ts';
import { quoted } from '../../system/printable.ts';

/**
 * One row for each database whose indexes were made with another version of its library than the server has now: name, the
 * recorded version, the present one. Undefined before 15, which records none.
 */
export function collationsSql({ recordsCollationVersion }: Capabilities): string | undefined {
  if (!recordsCollationVersion) return undefined;
  return (
    'SELECT datname, datcollversion, pg_database_collation_actual_version(oid) FROM pg_database ' +
    'WHERE datallowconn AND datcollversion <> pg_database_collation_actual_version(oid) ORDER BY 1'
  );
}

/** `where`: the host of that server. */
export function judgeCollations(where: string, rows: readonly (readonly string[])[]): readonly Verdict[] {
  return rows.map(([database = '', recorded = '', actual = '']) =>
    failure(
      `on ${where} the collation of database ${quoted(database, 100)} is of version ${quoted(actual, 50)}, but its indexes were made with ${quoted(recorded, 50)}`,
      'Indexes on text may be out of order: use the same release of the operating system on all hosts, or REINDEX there and then ALTER DATABASE … REFRESH COLLATION VERSION.',
    ),
  );
}

export function judgeLibc(here: string, there: string | undefined): Verdict {
  if (there === undefined) return skipped('the INI file allows no ssh to the primary');
  if (here === '' || there === '') return unknown('the version of the C library is not known on both hosts');
  if (here === there) return good(`both hosts have ${quoted(here, 100)}`);
  return failure(
    `the C library of the primary is ${quoted(there, 100)}, and ${quoted(here, 100)} is here`,
    'The order of text may differ, and with it that of indexes: use the same release of the operating system on both hosts, or REINDEX after a failover. Only the collations C and POSIX are safe.',
  );
}
