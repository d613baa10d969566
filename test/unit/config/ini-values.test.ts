import { describe, expect, it } from 'vitest';
import { parseIniText } from '../../../src/config/ini-text.ts';
import { interpolateDefault, resolveSection } from '../../../src/config/ini-values.ts';

function resolve(text: string, section = 'DEFAULT'): Record<string, string> {
  const resolved = resolveSection(parseIniText(text), section);
  expect(resolved.problems).toEqual([]);
  return Object.fromEntries([...resolved.entries].map(([key, entry]) => [key, entry.value]));
}

function problemsOf(text: string): string[] {
  return resolveSection(parseIniText(text), 'DEFAULT').problems.map((p) => `${p.line}: ${p.message}`);
}

describe('interpolation', () => {
  it.each([
    ['%(base)s/x', '/srv/x'],
    ['%(base)/x', '/srv/x'],
    ['%(BASE)s', '/srv'],
    ['%(deep)s%(deep)', '/srv/a/srv/a'],
    ['100%%', '100%'],
    ['%%(base)s', '%(base)s'],
    ['date +%H:%M', 'date +%H:%M'],
    ['%', '%'],
    ['%(', '%('],
  ])('replaces %j by %j', (text, value) => {
    expect(resolve(`[DEFAULT]\nbase: /srv\ndeep: %(base)s/a\nkey: ${text}\n`)['key']).toBe(value);
  });

  it('reports a reference to itself over any number of keys', () => {
    expect(problemsOf('[DEFAULT]\na: %(b)s\nb: %(c)\nc: x%(a)s\nd: %(d)s\n')).toEqual([
      '2: "a" refers to itself: a -> b -> c -> a',
      '3: "b" refers to itself: b -> c -> a -> b',
      '4: "c" refers to itself: c -> a -> b -> c',
      '5: "d" refers to itself: d -> d',
    ]);
  });

  it('reports a reference to an unknown key, with the key that was probably meant', () => {
    expect(problemsOf('[DEFAULT]\npgdata: /x\nkey: %(pgdta)s/y\nother: %(nothing)\n')).toEqual([
      '3: "key" refers to %(pgdta), which is not set (did you mean "pgdata"?)',
      '4: "other" refers to %(nothing), which is not set',
    ]);
  });

  it('distinguishes a key that failed from a missing one', () => {
    const section = resolveSection(parseIniText('[DEFAULT]\na: %(b)s\n'), 'DEFAULT');
    expect([...section.failedKeys]).toEqual(['a']);
    expect(section.entries.has('a')).toBe(false);
  });
});

describe('[DEFAULT]', () => {
  const text = '[DEFAULT]\nuser: postgres\nplace: /srv/%(host)s\nhost: main\n[far]\nhost: FAR\nown: 1\n';

  it('supplies keys to the other sections, interpolated with their values', () => {
    expect(resolve(text, 'far')).toEqual({ user: 'postgres', place: '/srv/FAR', host: 'FAR', own: '1' });
  });

  it('takes nothing from other sections', () => {
    expect(resolve(text)).toEqual({ user: 'postgres', place: '/srv/main', host: 'main' });
  });

  it('is all that a section has if the file does not contain that section', () => {
    expect(resolve(text, 'absent')).toEqual({ user: 'postgres', place: '/srv/main', host: 'main' });
  });

  it('shows which keys are inherited, and from which line', () => {
    const { entries, line } = resolveSection(parseIniText(text), 'far');
    expect(line).toBe(5);
    expect(entries.get('user')).toMatchObject({ inherited: true, line: 2 });
    expect(entries.get('host')).toMatchObject({ inherited: false, line: 6 });
  });
});

describe("an option's default", () => {
  it('can refer to keys whose values contain a percent sign', () => {
    const { entries } = resolveSection(parseIniText('[DEFAULT]\npgdata: /a%%(user)b\n'), 'DEFAULT');
    expect(interpolateDefault('%(pgdata)/recovery.conf', entries)).toEqual({
      kind: 'value',
      value: '/a%(user)b/recovery.conf',
    });
  });
});
