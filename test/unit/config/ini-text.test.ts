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

describe('key and value', () => {
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
  ])('reads %j', (line, value) => {
    expect(valueOf(line)).toBe(value);
  });

  it('keeps the order of keys and their lines', () => {
    const { sections } = parseIniText('[DEFAULT]\nb: 1\n\n; comment\na: 2\n');
    const entries = [...(sections.get('DEFAULT')?.entries.values() ?? [])];
    expect(entries.map(({ key, line }) => [key, line])).toEqual([
      ['b', 2],
      ['a', 5],
    ]);
  });

  it('takes DOS line ends and a byte order mark', () => {
    expect(read('\uFEFF[DEFAULT]\r\nkey: value\r\n')).toEqual({ DEFAULT: { key: 'value' } });
  });
});

describe('values that the ini package would change', () => {
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
  ])('returns %j as it is', (value) => {
    expect(valueOf(`key: ${value}`)).toBe(value);
  });

  it('keeps keys and sections that mean something to it or to JavaScript', () => {
    const keys = ['list[]', '__proto__', 'constructor', 'a.b', '"q"', 'true', '42'];
    const sections = ['10.0.0.1', '__proto__', 'true', 'a\\.b', '"q"', '7', 'host.example'];
    for (const section of sections) {
      const ini = parseIniText(`[${section}]\n${keys.map((key) => `${key}: ${key}`).join('\n')}\n`);
      expect([...ini.sections.keys()]).toEqual([section]);
      expect([...(ini.sections.get(section)?.entries.values() ?? [])].map((e) => e.value)).toEqual(keys);
    }
  });

  it('does not nest a section with a dot under another', () => {
    expect(read('[a]\nk: 1\n[a.b]\nk: 2\n')).toEqual({ a: { k: '1' }, 'a.b': { k: '2' } });
  });

  it('keeps a section without keys', () => {
    expect(read('[empty]\n')).toEqual({ empty: {} });
  });
});

describe('comments', () => {
  it.each([
    ['key: value ; comment', 'value'],
    ['key: value\t;comment', 'value'],
    ['key: a;b', 'a;b'],
    ['key: value # kept', 'value # kept'],
    ['key: ;all', ''],
    ['key: a ; b ; c', 'a'],
  ])('reads %j', (line, value) => {
    expect(valueOf(line)).toBe(value);
  });

  it('skips lines that begin with ; or #, indented or not', () => {
    expect(read('; a\n# b\n[DEFAULT]\n  ; c: 1\n\t# d: 2\nkey: x\n')).toEqual({ DEFAULT: { key: 'x' } });
  });

  it('takes a comment behind a section header', () => {
    expect(read('[DEFAULT] ; the only one\nkey: x\n')).toEqual({ DEFAULT: { key: 'x' } });
  });
});

describe('indentation', () => {
  it('reads a file that is indented as a whole', () => {
    expect(read('    [DEFAULT]\n    a: 1\n\n    ; comment\n    b: 2\n')).toEqual({
      DEFAULT: { a: '1', b: '2' },
    });
  });

  it('reads keys that are indented less than their header or the key before', () => {
    expect(read('   [DEFAULT]\n  a: 1\n b: 2\nc: 3\n')).toEqual({ DEFAULT: { a: '1', b: '2', c: '3' } });
  });

  it('continues a value on deeper lines, past blank and comment lines', () => {
    const text = '[DEFAULT]\na: 1\n  two ; comment\n\n; comment\n  b: three\nc: 4\n';
    expect(read(text)).toEqual({ DEFAULT: { a: '1\ntwo\n\nb: three', c: '4' } });
  });

  it('begins a value on the line after its key', () => {
    expect(read('[DEFAULT]\na:\n  1\n  2\n')).toEqual({ DEFAULT: { a: '1\n2' } });
  });

  it('takes a deeper header for a continuation, as ConfigParser does', () => {
    expect(read('[DEFAULT]\na: 1\n  [b]\n')).toEqual({ DEFAULT: { a: '1\n[b]' } });
  });

  it('remembers the lines of what continues', () => {
    const { sections } = parseIniText('[DEFAULT]\na: 1\n\n  b: 2\n');
    expect(sections.get('DEFAULT')?.entries.get('a')?.continued).toEqual([{ line: 4, text: 'b: 2' }]);
  });
});

describe('sections whose keys are paths', () => {
  const options = { pathSections: ['tablespaces'] };

  it('keep the case of their keys', () => {
    expect(read('[tablespaces]\n/srv/Fast = /data/Fast\n', options)).toEqual({
      tablespaces: { '/srv/Fast': '/data/Fast' },
    });
  });

  it('split at a separator between blanks, so that a path may hold one', () => {
    expect(read('[tablespaces]\n/a:b = /c=d\n/x=/y\n', options)).toEqual({
      tablespaces: { '/a:b': '/c=d', '/x': '/y' },
    });
  });
});

describe('what is wrong', () => {
  it('names both lines of a key that stands there twice, in any case', () => {
    expect(problemsOf('[DEFAULT]\na: 1\nb: 2\nA = 3\n')).toEqual(['4: "a" is already on line 2']);
  });

  it('names both lines of a section that stands there twice', () => {
    expect(problemsOf('[x]\n[y]\n[x]\n')).toEqual(['3: section [x] is already on line 1']);
  });

  it('takes the same key in two sections', () => {
    expect(problemsOf('[x]\na: 1\n[y]\na: 2\n')).toEqual([]);
  });

  it('reports a line that is nothing once, without what it says', () => {
    expect(problemsOf('[DEFAULT]\nhunter2\n  more\nkey: 1\n: no key\n')).toEqual([
      '2: neither "key: value", a [section] nor a comment',
      '5: neither "key: value", a [section] nor a comment',
    ]);
  });

  it('reports keys before any section once', () => {
    expect(problemsOf('a: 1\nb: 2\n')).toEqual([
      '1: a key before any section: the file must begin with [DEFAULT]',
    ]);
  });

  it.each(['[DEFAULT', '[]', '[ ]', '[a] b', '[a]]'])('reports the header %j', (header) => {
    expect(problemsOf(`${header}\n`)).toEqual(['1: this section header is not of the form [NAME]']);
  });

  it('reads an empty file as nothing', () => {
    expect(parseIniText('').sections.size).toBe(0);
  });
});
