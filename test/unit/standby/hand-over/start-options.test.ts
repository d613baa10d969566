import { expect, test } from 'vitest';
import { parametersOfStart } from '../../../../src/standby/hand-over/start-options.ts';

test('a start shows its parameters, in quotes or not', () => {
  const text = `/usr/lib/postgresql/15/bin/postgres "-D" "/var/lib/postgresql/15/main" "-c" "config_file=/etc/postgresql/15/main/postgresql.conf" --hba_file=/etc/hba.conf\n`;
  expect([...(parametersOfStart(text) ?? [])]).toEqual([
    ['config_file', '/etc/postgresql/15/main/postgresql.conf'],
    ['hba_file', '/etc/hba.conf'],
  ]);
});

test('a start with the data directory alone has none', () => {
  expect([...(parametersOfStart('/bin/postgres "-D" "/data dir"\n') ?? [['?', '?']])]).toEqual([]);
});

test.each(['/bin/postgres "-p" "5433" "-D" "/data"', '/bin/postgres "-c" "port"'])(
  'the parameters of another start are unknown: %s',
  (text) => {
    expect(parametersOfStart(text)).toBeUndefined();
  },
);
