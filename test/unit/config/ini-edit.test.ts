import { describe, expect, test } from 'vitest';
import { editIniValue, insertIniValue } from '../../../src/config/ini-edit.ts';

function edited(text: string, value = 'hostb'): string {
  const edit = editIniValue(text, 'DEFAULT', 'master_public_ip', value);
  if (edit.kind !== 'changed') throw new Error(JSON.stringify(edit));
  return edit.text;
}

const whole = `; Standby of hosta
[DEFAULT]
# the primary
  Master_Public_IP :   hosta   ; since 2019
  pgdata: /data
    /more
other = %(master_public_ip)s

[tablespaces]
master_public_ip = /ts
`;

describe('the value of one key', () => {
  test('changes, and nothing else does', () => {
    const after = edited(whole);
    expect(after).toBe(whole.replace('hosta   ; since', 'hostb   ; since'));
    expect(editIniValue(after, 'DEFAULT', 'master_public_ip', 'hostb')).toEqual({ kind: 'unchanged' });
  });

  test.each([
    ['[DEFAULT]\r\nmaster_public_ip=a\r\nport: 1\r\n', '[DEFAULT]\r\nmaster_public_ip=hostb\r\nport: 1\r\n'],
    ['\uFEFF[DEFAULT]\nmaster_public_ip: a', '\uFEFF[DEFAULT]\nmaster_public_ip: hostb'],
    ['\uFEFFmaster_public_ip: a', '\uFEFFmaster_public_ip: hostb'],
    ['[DEFAULT]\nmaster_public_ip:\n', '[DEFAULT]\nmaster_public_ip:hostb\n'],
    ['[DEFAULT]\nmaster_public_ip: \t\n', '[DEFAULT]\nmaster_public_ip: \thostb\n'],
    ['[DEFAULT]\nmaster_public_ip: a;b\n', '[DEFAULT]\nmaster_public_ip: hostb\n'],
    ['[DEFAULT]\nmaster_public_ip = fd00::1\n', '[DEFAULT]\nmaster_public_ip = hostb\n'],
    ['[DEFAULT]\nmaster_public_ip: a \n; x\n', '[DEFAULT]\nmaster_public_ip: hostb \n; x\n'],
  ])('in %j', (before, after) => {
    expect(edited(before)).toBe(after);
  });

  test('may be an address with a zone', () => {
    expect(edited('[DEFAULT]\nmaster_public_ip: a\n', 'fe80::1%eth0')).toBe(
      '[DEFAULT]\nmaster_public_ip: fe80::1%%eth0\n',
    );
  });
});

test.each([
  ['[DEFAULT]\nmaster_public_ip: a\nmaster_public_ip: b\n', '"master_public_ip" is on line 2 and on line 3'],
  [
    '[DEFAULT]\nmaster_public_ip:\n  a\n',
    'the value of "master_public_ip" continues on the line after line 2',
  ],
])('%j is left alone', (text, reason) => {
  expect(editIniValue(text, 'DEFAULT', 'master_public_ip', 'hostb')).toEqual({ kind: 'impossible', reason });
});

test.each([
  ['[DEFAULT]\n  a = 1 ; one\n  b = 2\n', '[DEFAULT]\n  a = 1 ; one\n  port = 5433\n  b = 2\n'],
  ['[DEFAULT]\r\na: 1\r\n', '[DEFAULT]\r\na: 1\r\nport: 5433\r\n'],
  ['[DEFAULT]\na: 1', '[DEFAULT]\na: 1\nport: 5433'],
  ['[DEFAULT]\na:\n  1\nb: 2\n', '[DEFAULT]\na:\n  1\nport:5433\nb: 2\n'],
])('a key is added behind another in %j', (before, after) => {
  expect(editIniValue(before, 'DEFAULT', 'port', '5433')).toEqual({ kind: 'absent' });
  expect(insertIniValue(before, 'DEFAULT', 'a', 'port', '5433')).toMatchObject({
    kind: 'changed',
    text: after,
  });
});
