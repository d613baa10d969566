import { describe, expect, it } from 'vitest';
import type { Option, OptionTable } from '../../../src/config/option.ts';
import { archiverOptions, standbyTargetOptions } from '../../../src/config/options-archiver.ts';
import { standbyOptions } from '../../../src/config/options-standby.ts';
import { readValue } from '../../../src/config/read-options.ts';

const tables: [string, OptionTable][] = [
  ['cmd_archiver', archiverOptions],
  ['a standby of cmd_archiver', standbyTargetOptions],
  ['cmd_standby', standbyOptions],
];

describe.each(tables)('the table of %s', (_, table) => {
  const options: [string, Option][] = Object.entries(table);

  it.each(options)('has a valid default and example for %s', (_key, option) => {
    const texts = [option.default?.replace('%(pgdata)', '/data'), option.example];
    for (const text of texts.filter((candidate) => candidate !== undefined)) {
      expect(readValue(option, text).kind).toBe('value');
    }
  });

  it.each(options)('describes %s by a part of a sentence', (_key, option) => {
    expect(option.summary).toMatch(/^\S.*[^.\s]$/);
  });

  it.each(options)('writes the key %s as the INI reader returns it', (key) => {
    expect(key).toMatch(/^[a-z][a-z_]*$/);
  });

  it.each(options)('gives %s no default that is never used', (_key, option) => {
    expect(option.required === true && option.default !== undefined).toBe(false);
    expect(option.requiredIf === undefined || table[option.requiredIf]?.kind === 'boolean').toBe(true);
  });
});
