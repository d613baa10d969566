/** Whether the text order of this host's libraries is that with which the indexes were made. Pure. */
import { failure, good, skipped, unknown, type Verdict } from '../../check/check.ts';
import { quoted } from '../../system/printable.ts';

type Rows = readonly (readonly string[])[];

/** `where`: the host of that server; `rows` are undefined before 15. */
export function judgeCollations(where: string, rows: Rows | undefined): readonly Verdict[] {
  if (rows === undefined)
    return [
      skipped(
        `before PostgreSQL 15 a database on ${where} does not say with which version of its collation its indexes were made`,
      ),
    ];
  if (rows.length === 0)
    return [
      good(`on ${where} the collations of all databases have the version with which the indexes were made`),
    ];
  return rows.map(([database = '', recorded = '', actual = '']) =>
    failure(
      `on ${where} the collation of database ${quoted(database, 100)} is of version ${quoted(actual, 50)}, but its indexes were made with ${quoted(recorded, 50)}`,
      'Indexes on text may be out of order: use the same release of the operating system on all hosts, or REINDEX there and then ALTER DATABASE … REFRESH COLLATION VERSION.',
    ),
  );
}

/** The rows of `icuSql` on both hosts. */
export function judgeIcu(here: Rows, there: Rows): readonly Verdict[] {
  const [ours, theirs] = [here[0], there[0]];
  if (ours === undefined && theirs === undefined) return [];
  const [name = '', version = ''] = ours ?? [];
  const [otherName = '', otherVersion = ''] = theirs ?? [];
  if (name !== otherName || version === '' || otherVersion === '')
    return [unknown('the versions of the ICU library are not known on both hosts')];
  if (version === otherVersion)
    return [
      good(
        `the ICU libraries of both hosts have version ${quoted(version, 50)} of collation ${quoted(name, 100)}`,
      ),
    ];
  return [
    failure(
      `collation ${quoted(name, 100)} of the ICU library is of version ${quoted(otherVersion, 50)} on the primary, and ${quoted(version, 50)} here`,
      'Indexes with collations of ICU may be out of order here: install the same release of the ICU library on both hosts, or REINDEX them after a failover.',
    ),
  ];
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
