import { describe, expect, it } from 'vitest';
import { type IniOptions, parseIniText } from '../../../src/config/ini-text.ts';

function read(text: string, options?: IniOptions): Record<string, Record<string, string>> {
  const ini = parseIniText(text, options);
  expect(ini.problems).toEqual([]);
  const sections = [...ini.sections.values()].map((section) => {
    const entries = [...section.entries.values()].map((entry) => [entry.key, entry.value] as const);
    return [section.name, Object.fromEntries(entries)] as const;
  });
  return Object.fromEntries(sections);
}

function valueOf(line: string): string | undefined {
  return read(`[DEFAULT]\n${line}\n`)['DEFAULT']?.['key'];
}

function problemsOf(text: string): string[] {
  return parseIniText(text).problems.map(({ line, message }) => `${line}: ${message}`);
}

describe('a key and its value', () => {
  it.each([
    ['key: value', 'value'],
    ['key = value', 'value'],
    ['key=value', 'value'],
    ['key:value', 'value'],
    ['KEY : value', 'value'],
    ['key:', ''],
    ['key: a:b=c', 'a:b=c'],
    ['key = a:b=c', 'a:b=c'],
    ['key: --bwlimit=100', '--bwlimit=100'],
    ['key: value   \t', 'value'],
  ])('are read from %j', (line, value) => {
    expect(valueOf(line)).toBe(value);
  });

  it('keep their order and their lines', () => {
    const { sections } = parseIniText('[DEFAULT]\nb: 1\n\n; comment\na: 2\n');
    const entries = [...(sections.get('DEFAULT')?.entries.values() ?? [])];
    expect(entries.map(({ key, line }) => [key, line])).toEqual([
      ['b', 2],
      ['a', 5],
    ]);
  });

  it('are read with DOS line ends and a byte order mark', () => {
    expect(read('\uFEFF[DEFAULT]\r\nkey: value\r\n')).toEqual({ DEFAULT: { key: 'value' } });
  });
});

describe('a value that the ini package would change', () => {
  it.each([
    '"quoted"',
    "'quoted'",
    '"half',
    'a;b#c',
    '#x',
    '\\;',
    'back\\slash\\\\',
    'true',
    'false',
    'null',
    '0x10',
    '[x]',
    'a]',
    'a=b',
    '%0041',
    '{"json": [1]}',
    '__proto__',
    'ümläut 漢字 \u2028 😀',
  ])('is returned unchanged: %j', (value) => {
    expect(valueOf(`key: ${value}`)).toBe(value);
  });

  it('can be a key or section name with a meaning for that package or for JavaScript', () => {
    const keys = ['list[]', '__proto__', 'constructor', 'a.b', '"q"', 'true', '42'];
    const sections = ['10.0.0.1', '__proto__', 'true', 'a\\.b', '"q"', '7', 'host.example'];
    for (const section of sections) {
      const ini = parseIniText(`[${section}]\n${keys.map((key) => `${key}: ${key}`).join('\n')}\n`);
      expect([...ini.sections.keys()]).toEqual([section]);
      expect([...(ini.sections.get(section)?.entries.values() ?? [])].map((e) => e.value)).toEqual(keys);
    }
  });

  it('does not nest a section whose name contains a dot', () => {
    expect(read('[a]\nk: 1\n[a.b]\nk: 2\n')).toEqual({ a: { k: '1' }, 'a.b': { k: '2' } });
  });

  it('does not remove a section without keys', () => {
    expect(read('[empty]\n')).toEqual({ empty: {} });
  });
});

describe('a comment in the INI file', () => {
  it.each([
    ['key: value ; comment', 'value'],
    ['key: value\t;comment', 'value'],
    ['key: a;b', 'a;b'],
    ['key: value # kept', 'value # kept'],
    ['key: ;all', ''],
    ['key: a ; b ; c', 'a'],
  ])('is read as such in %j', (line, value) => {
    expect(valueOf(line)).toBe(value);
  });

  it('is skipped if its line begins with ; or #, indented or not', () => {
    expect(read('; a\n# b\n[DEFAULT]\n  ; c: 1\n\t# d: 2\nkey: x\n')).toEqual({ DEFAULT: { key: 'x' } });
  });

  it('can follow a section header', () => {
    expect(read('[DEFAULT] ; the only one\nkey: x\n')).toEqual({ DEFAULT: { key: 'x' } });
  });
});

describe('the indentation of an INI file', () => {
  it('can be that of the whole file', () => {
    expect(read('    [DEFAULT]\n    a: 1\n\n    ; comment\n    b: 2\n')).toEqual({
      DEFAULT: { a: '1', b: '2' },
    });
  });

  it('can be less than that of the header or the key before', () => {
    expect(read('   [DEFAULT]\n  a: 1\n b: 2\nc: 3\n')).toEqual({ DEFAULT: { a: '1', b: '2', c: '3' } });
  });

  it('continues a value on deeper lines, even after blank and comment lines', () => {
    const text = '[DEFAULT]\na: 1\n  two ; comment\n\n; comment\n  b: three\nc: 4\n';
    expect(read(text)).toEqual({ DEFAULT: { a: '1\ntwo\n\nb: three', c: '4' } });
  });

  it('can begin a value on the line after its key', () => {
    expect(read('[DEFAULT]\na:\n  1\n  2\n')).toEqual({ DEFAULT: { a: '1\n2' } });
  });

  it('makes a deeper section header a continuation, as in ConfigParser', () => {
    expect(read('[DEFAULT]\na: 1\n  [b]\n')).toEqual({ DEFAULT: { a: '1\n[b]' } });
  });

  it('keeps the line numbers of continuation lines', () => {
    const { sections } = parseIniText('[DEFAULT]\na: 1\n\n  b: 2\n');
    expect(sections.get('DEFAULT')?.entries.get('a')?.continued).toEqual([{ line: 4, text: 'b: 2' }]);
  });
});

describe('a section whose keys are paths', () => {
  const options = { pathSections: ['tablespaces'] };

  it('keeps the case of its keys', () => {
    expect(read('[tablespaces]\n/srv/Fast = /data/Fast\n', options)).toEqual({
      tablespaces: { '/srv/Fast': '/data/Fast' },
    });
  });

  it('splits a line at a separator between blanks, so that a path can contain one', () => {
    expect(read('[tablespaces]\n/a:b = /c=d\n/x=/y\n', options)).toEqual({
      tablespaces: { '/a:b': '/c=d', '/x': '/y' },
    });
  });
});

describe('a mistake in the form of an INI file', () => {
  it('shows both lines of a duplicate key, in any case', () => {
    expect(problemsOf('[DEFAULT]\na: 1\nb: 2\nA = 3\n')).toEqual(['4: "a" is already on line 2']);
  });

  it('shows both lines of a duplicate section', () => {
    expect(problemsOf('[x]\n[y]\n[x]\n')).toEqual(['3: section [x] is already on line 1']);
  });

  it('is not the same key in two sections', () => {
    expect(problemsOf('[x]\na: 1\n[y]\na: 2\n')).toEqual([]);
  });

  it('is a line of no known form, which is reported once and without its text', () => {
    expect(problemsOf('[DEFAULT]\nhunter2\n  more\nkey: 1\n: no key\n')).toEqual([
      '2: neither "key: value", a [section] nor a comment',
      '5: neither "key: value", a [section] nor a comment',
    ]);
  });

  it('is a key before any section, which is reported once', () => {
    expect(problemsOf('a: 1\nb: 2\n')).toEqual([
      '1: a key before any section: the file must begin with [DEFAULT]',
    ]);
  });

  it.each(['[DEFAULT', '[]', '[ ]', '[a] b', '[a]]'])('is the header %j', (header) => {
    expect(problemsOf(`${header}\n`)).toEqual(['1: this section header is not of the form [NAME]']);
  });

  it('is not an empty file', () => {
    expect(parseIniText('').sections.size).toBe(0);
  });
});
