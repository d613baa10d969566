import { readFileSync } from 'node:fs';
import { parseArchiverConfig } from '../../../src/config/load-archiver.ts';
import { parseStandbyConfig } from '../../../src/config/load-standby.ts';
import type { LoadedConfig, UsableConfig } from '../../../src/config/loaded.ts';
import type { ArchiverSettings } from '../../../src/config/options-archiver.ts';
import type { StandbySettings } from '../../../src/config/options-standby.ts';

export const goodArchiver = `[DEFAULT]
pgdata: /data
slaves: a, b
r_archivedir: /remote
l_archivedir: /local
`;

export const goodStandby = `[DEFAULT]
master_public_ip: primary
pgdata: /data
archivedir: /archive
`;

export function readFixture(name: string): string {
  return readFileSync(new URL(`../../fixtures/ini/${name}`, import.meta.url), 'utf8');
}

export function usable<Settings>(config: LoadedConfig<Settings>): UsableConfig<Settings> {
  if (config.kind === 'ok') return config;
  throw new Error(`the configuration has problems: ${JSON.stringify(config.problems)}`);
}

/** `line: message` of each problem. */
export function problemsOf(config: LoadedConfig<unknown>): string[] {
  return config.kind === 'ok' ? [] : config.problems.map(({ line, message }) => `${line}: ${message}`);
}

export function archiverSettings(text: string): ArchiverSettings {
  return usable(parseArchiverConfig(text)).settings;
}

export function standbySettings(text: string): StandbySettings {
  return usable(parseStandbyConfig(text)).settings;
}
