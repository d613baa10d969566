/** A standby with a directory for its drills, and what a drill must leave as it was. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { expect } from 'vitest';
import { checkout } from '../harness/checkout.ts';
import type { Standby } from '../harness/standby.ts';
import type { World } from '../harness/world.ts';
import { snapshot } from './backup-kit.ts';
import { printed } from './ledger-kit.ts';
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
  readonly replay?: { readonly bytes: number; readonly to: string };
  readonly rpo: { readonly bytes?: number; readonly primaryLsn?: string; readonly lastCommit?: string };
  readonly checks: readonly { readonly name: string; readonly result: string; readonly detail: string }[];
}

export function drillDirectory(world: World): string {
  return join(world.directory, 'd');
}

/** The keys of a standby whose drills need not be polite: on a busy machine a test would wait until nobody else needs the processor. */
export function drillKeys(world: World) {
  return { drill_dir: drillDirectory(world), drill_reserve: '1MB', drill_nice: 0, drill_ionice: 'off' };
}

export async function makeDrillPair(world: World, options: PairOptions = {}): Promise<Pair> {
  return makePair(world, { ...options, ini: { ...drillKeys(world), ...options.ini } });
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

/** The phases that a drill and a failover have in common. */
const commonPhases = ['planning', 'start', 'replay', 'promotion', 'completion'];

export function commonPhasesOf(phases: Report['phases'] | undefined): readonly string[] {
  return (phases ?? []).map(({ name }) => name).filter((name) => commonPhases.includes(name));
}

/** What --history has of a drill and of a promotion. */
interface Noted {
  readonly kind: string;
  readonly phases?: Report['phases'];
  readonly rtoSeconds?: number;
  readonly replayedTo?: string;
  readonly lastCommit?: string;
}

async function lastNoted(world: World, standby: Standby, kind: string): Promise<Noted> {
  const run = await world.cmdStandby(standby, ['--history', '--json']);
  const { events } = printed(run.stdout) as { events: readonly Noted[] };
  const found = events.filter((event) => event.kind === kind).at(-1);
  if (found === undefined) throw new Error(`no "${kind}" in the history`);
  return found;
}

/**
 * The primary writes rows that it does not ship, a drill says what would be lost, and the primary dies: a real failover loses
 * just these rows, and reports the same phases. The primary must have track_commit_timestamp.
 */
export async function drillAndFailOver(
  world: World,
  { primary, standby }: Pair,
  unshipped: readonly number[],
): Promise<{ readonly drilled: Report; readonly failover: Noted }> {
  const kept = Number(await primary.value('SELECT count(*) FROM rows'));
  await primary.sql('INSERT INTO rows SELECT unnest($1::int[])', [unshipped]);
  const drilled = await drill(world, standby, 0);
  const lost = await primary.value(
    'SELECT count(*) FROM rows WHERE pg_xact_commit_timestamp(xmin) > $1::timestamptz',
    [drilled.rpo.lastCommit],
  );
  const { to } = drilled.replay ?? {};
  const missing = await primary.value('SELECT pg_current_wal_lsn() - $1::pg_lsn >= $2', [
    to,
    drilled.rpo.bytes ?? -1,
  ]);
  expect({ lost, missing }).toEqual({ lost: String(unshipped.length), missing: 'true' });
  expect(drilled.rpo.bytes).toBeGreaterThan(0);
  await primary.stop('immediate');
  const run = await world.cmdStandby(standby, ['-F999']);
  expect(run.code, `${run.stdout}${run.stderr}`).toBe(0);
  expect(Number(await standby.value('SELECT count(*) FROM rows'))).toBe(kept);
  const [before, failover] = [
    await lastNoted(world, standby, 'drilled'),
    await lastNoted(world, standby, 'promoted'),
  ];
  const where = { replayedTo: to, lastCommit: drilled.rpo.lastCommit };
  expect(before).toMatchObject({ ...where, phases: drilled.phases, rtoSeconds: drilled.rtoSeconds });
  expect(failover).toMatchObject(where);
  const common = (failover.phases ?? []).filter(({ name }) => commonPhases.includes(name));
  const sum = common.reduce((total, { seconds }) => total + seconds, 0);
  expect(failover.rtoSeconds).toBeCloseTo(sum, 6);
  expect(run.stdout).toMatch(
    /^RTO: .*, counted as in a drill\nPhases: planning .* promotion .* completion /m,
  );
  return { drilled, failover };
}

export function writeSql(standby: Standby, text: string): string {
  const path = join(standby.host.directory, 'drill.sql');
  writeFileSync(path, text);
  return path;
}
