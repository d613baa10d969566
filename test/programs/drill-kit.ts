/** A standby with a directory for its drills, and what a drill must leave as it was. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { expect } from 'vitest';
import { checkout } from '../harness/checkout.ts';
import type { Standby } from '../harness/standby.ts';
import type { World } from '../harness/world.ts';
import { snapshot } from './backup-kit.ts';
import { makePair, type Pair, type PairOptions } from './standby-kit.ts';

const fitsSchema = new Ajv().compile(
  JSON.parse(readFileSync(checkout('doc', 'drill.schema.json'), 'utf8')) as object,
);

export interface Report {
  readonly result: string;
  readonly copy: string;
  readonly failure?: { readonly message: string };
  readonly phases: readonly { readonly name: string; readonly seconds: number }[];
  readonly rtoSeconds?: number;
  readonly timeline?: number;
  readonly target?: string;
  readonly replay?: { readonly bytes: number };
  readonly rpo: { readonly bytes?: number; readonly primaryLsn?: string; readonly lastCommit?: string };
  readonly checks: readonly { readonly name: string; readonly result: string; readonly detail: string }[];
}

export function drillDirectory(world: World): string {
  return join(world.directory, 'd');
}

export async function makeDrillPair(world: World, options: PairOptions = {}): Promise<Pair> {
  return makePair(world, {
    ...options,
    ini: { drill_dir: drillDirectory(world), drill_reserve: '1MB', ...options.ini },
  });
}

/** The report of a drill that ends with this exit status, in the form that its schema describes. */
export async function drill(
  world: World,
  standby: Standby,
  code: number,
  ...more: readonly string[]
): Promise<Report> {
  const run = await world.cmdStandby(standby, ['--drill', '--json', ...more]);
  expect(run.code, `${run.stdout}${run.stderr}`).toBe(code);
  const report: unknown = JSON.parse(run.stdout);
  if (!fitsSchema(report)) throw new Error(JSON.stringify(fitsSchema.errors));
  if (code !== 0) expect(run.stderr).toContain('ERROR: the drill has failed: ');
  return report as Report;
}

/** Nothing of a drill is left but its record. */
export function expectNothingLeft(world: World): void {
  const names = readdirSync(drillDirectory(world)).sort();
  expect(names.filter((name) => name !== 'last.json')).toEqual(['.lock', '.pitrtools-drill']);
}

/** The WAL files of the archive, byte for byte, with their times. */
export function archiveOf(standby: Standby): Record<string, string> {
  const all = snapshot(standby.archiveDir);
  return Object.fromEntries(Object.entries(all).filter(([name]) => !name.startsWith('.cmd_standby.')));
}

/** Files of pgdata that a running standby does not change by itself. */
export function settingsOf({ pgdata }: Standby): Record<string, string> {
  const names = [
    'pitrtools.json',
    'postgresql.auto.conf',
    'recovery.conf',
    'standby.signal',
    'postgresql.conf',
  ];
  return Object.fromEntries(
    names
      .filter((name) => existsSync(join(pgdata, name)))
      .map((name) => [name, readFileSync(join(pgdata, name), 'utf8')]),
  );
}

export function writeSql(standby: Standby, text: string): string {
  const path = join(standby.host.directory, 'drill.sql');
  writeFileSync(path, text);
  return path;
}
