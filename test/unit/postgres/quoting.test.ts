import { describe, expect, test } from 'vitest';
import {
  conninfo,
  conninfoValue,
  doublePercent,
  settingLine,
  settingValue,
  sqlIdentifier,
  sqlLiteral,
} from '../../../src/postgres/quoting.ts';

test.each([
  ['', "''"],
  ['plain', "'plain'"],
  ["it's", "'it''s'"],
  ['a\\b', "E'a\\\\b'"],
  ["\\'; DROP TABLE x; --", "E'\\\\''; DROP TABLE x; --'"],
  ['two\nlines', "'two\nlines'"],
])('the SQL literal of %j is %s', (value, literal) => {
  expect(sqlLiteral(value)).toBe(literal);
});

test.each([
  ['plain', '"plain"'],
  ['say "hi"', '"say ""hi"""'],
])('the SQL identifier of %j is %s', (name, identifier) => {
  expect(sqlIdentifier(name)).toBe(identifier);
});

test.each([
  ['localhost', 'localhost'],
  ['/run/postgresql', '/run/postgresql'],
  ['', "''"],
  ['two words', "'two words'"],
  ["o'hara", "'o\\'hara'"],
  ['back\\slash', "'back\\\\slash'"],
  ['a=b', "'a=b'"],
])('the conninfo value of %j is %s', (value, written) => {
  expect(conninfoValue(value)).toBe(written);
});

test('a connection string contains the parameters that have a value, in order', () => {
  const text = conninfo({
    host: 'bitarena',
    port: 5432,
    sslmode: undefined,
    user: 'replication',
    password: "it's",
  });
  expect(text).toBe("host=bitarena port=5432 user=replication password='it\\'s'");
});

describe('a quoted value in a configuration file', () => {
  test.each([
    ['plain', "'plain'", "'plain'", "'plain'"],
    ['cp /a/%f "%p"', `'cp /a/%f "%p"'`, `'cp /a/%f "%p"'`, `'cp /a/%f "%p"'`],
    ["it's", "'it''s'", "'it''s'", undefined],
    ['a\\b', "'a\\\\b'", "'a\\b'", "'a\\b'"],
    ['', "''", "''", undefined],
    ['two\nlines', "'two\\nlines'", undefined, undefined],
  ])('is read back by each release: %j', (value, parameter, doubled, plain) => {
    expect(settingValue(value, 'parameter')).toBe(parameter);
    for (const [syntax, written] of [
      ['doubled', doubled],
      ['plain', plain],
    ] as const) {
      if (written === undefined) expect(() => settingValue(value, syntax)).toThrow(/cannot hold/);
      else expect(settingValue(value, syntax)).toBe(written);
    }
  });
});

test('percent signs that PostgreSQL must not replace are doubled', () => {
  expect(doublePercent('/srv/100%/%f')).toBe('/srv/100%%/%%f');
});

test('a value that cannot be written is refused without being shown', () => {
  for (const write of [
    sqlLiteral,
    sqlIdentifier,
    conninfoValue,
    (text: string) => settingValue(text, 'parameter'),
  ]) {
    expect(() => write('secret\0')).toThrow(/cannot hold a value with the character "\\u0000"$/);
  }
  expect(() => sqlIdentifier('')).toThrow('empty');
});

test('a line that 8.4 and 9.0 would cut in two is refused, counted in bytes', () => {
  const longest = 'ä'.repeat((1023 - "restore_command = ''".length - 1) / 2);
  for (const syntax of ['plain', 'doubled', 'parameter'] as const)
    expect(settingLine('restore_command', longest, syntax)).toBe(`restore_command = '${longest}'`);
  for (const syntax of ['plain', 'doubled'] as const)
    expect(() => settingLine('restore_command', `${longest}äx`, syntax)).toThrow(
      /as long as that of restore_command/,
    );
  expect(settingLine('restore_command', `${longest}äx`, 'parameter')).toHaveLength(20 + longest.length + 2);
});
