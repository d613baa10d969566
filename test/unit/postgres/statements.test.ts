import { describe, expect, test } from 'vitest';
import { capabilitiesOf } from '../../../src/postgres/capabilities.ts';
import { nameStatement, readStatement, statementsOf } from '../../../src/postgres/statements.ts';
import { parseVersion } from '../../../src/postgres/version.ts';

const releases = [
  '8.4',
  '9.0',
  '9.1',
  '9.2',
  '9.3',
  '9.4',
  '9.5',
  '9.6',
  '10',
  '12',
  '13',
  '15',
  '17',
  '18',
  '19',
];

const wordFor = (what: string): string =>
  what.includes('schema')
    ? 'helpers "of" no one'.replaceAll('"', '')
    : what.includes('slot')
      ? 'pitrtools_for_hostb_0123456789ab'
      : what.includes('role')
        ? 'pitrtools_host_b'
        : what.includes('password')
          ? 'SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy'
          : 'pitrtools host-b 0123456789abcde';

test.each(releases)(
  'each statement of PostgreSQL %s is known by its text, and made anew from its name',
  (release) => {
    const capabilities = capabilitiesOf(parseVersion(release));
    const all = statementsOf(release, wordFor);
    expect(all.length).toBeGreaterThan(20);
    for (const { name, words, sql } of all) {
      const named = nameStatement(sql);
      expect({ sql, named }).toEqual({ sql, named: { name, words } });
      expect(readStatement({ name, words }, capabilities)).toMatchObject({ kind: 'statement', sql });
    }
  },
);

test.each([
  ['SELECT 1; DROP TABLE t'],
  ['COPY t TO PROGRAM $$id$$'],
  ["SELECT pg_read_file('/etc/passwd')"],
  [
    "SELECT * FROM (SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'of_another' AND NOT active) AS ours",
  ],
  ['SELECT lsn, labelfile, spcmapfile FROM "public".cmd_pg_stop_backup(\'of another tool\')'],
])('%s is none of them', (sql) => {
  expect(nameStatement(sql)).toBeUndefined();
});

test.each([
  ['drop-slot', ["x' OR true --"], 'a slot of a standby of ours'],
  ['make-slot', ['of_another'], 'a slot of a standby of ours'],
  ['stop-backup', ['public', 'of another tool'], 'the label of a backup of cmd_standby'],
  [
    'stop-backup',
    ['public', "pitrtools ' || pg_read_file('x') || '"],
    'the label of a backup of cmd_standby',
  ],
  ['stop-backup', ['public', 'pitrtools \\'], 'the label of a backup of cmd_standby'],
  ['data-directory', ['public".x(); --'], 'the name of a schema'],
  ['data-directory', ['public\n\\! id'], 'the name of a schema'],
  ['data-directory', [], 'takes 1 arguments'],
  ['__proto__', [], 'no statement of this name'],
  ['SELECT 1', [], 'no statement of this name'],
])('%s %j is refused', (name, words, reason) => {
  expect(readStatement({ name, words }, capabilitiesOf(parseVersion('18')))).toMatchObject({
    kind: 'refused',
    reason: expect.stringContaining(reason) as unknown,
  });
});

/** Whether a server would carry this out: it has no open quote or parenthesis, and does not end with a word that wants more. */
function isWhole(sql: string): boolean {
  const bare = sql.replaceAll(/'[^']*'/g, '0').trim();
  const opened = bare.split('(').length - bare.split(')').length;
  return !bare.includes("'") && opened === 0 && !/\b(?:FROM|WHERE|AND|OR|NOT|SELECT|AS|=)$/i.test(bare);
}

describe('a statement that is cut off, because the connection was lost, and which psql carries out as far as it came', () => {
  test.each(['9.4', '9.6', '14', '18'])('ends no backup and drops no slot of another one (%s)', (release) => {
    const all = statementsOf(release, (what, index) => `${what}-${index}`);
    const does = /pg_stop_backup\(\)|pg_drop_replication_slot\(/;
    const harmful = all.filter(({ sql }) => does.test(sql));
    expect(harmful.length).toBeGreaterThan(0);
    for (const { sql, words } of harmful)
      for (let end = 1; end < sql.length; end += 1) {
        const cut = sql.slice(0, end);
        if (does.test(cut) && isWhole(cut))
          expect(
            words.some((word) => cut.includes(word)),
            cut,
          ).toBe(true);
      }
  });
});
