import { expect, test } from 'vitest';
import { statementsIn } from '../../../../src/standby/drill/sql-file.ts';

test('a statement ends with a semicolon at the end of a line, or with the file', () => {
  const text = "-- first\nSELECT count(*) > 0\n  FROM a; \r\nSELECT ';' = ';';\n\n  -- last\nSELECT true";
  expect(statementsIn(text)).toEqual(['SELECT count(*) > 0\n  FROM a', "SELECT ';' = ';'", 'SELECT true']);
});

test('comments alone are no statement', () => {
  expect(statementsIn('-- nothing\n;\n')).toEqual([]);
});

test('a comment may follow the semicolon of a statement', () => {
  expect(statementsIn('SELECT true; -- first\nSELECT false;--last')).toEqual(['SELECT true', 'SELECT false']);
});
