import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../harness/eventually.ts';
import type { Primary } from '../harness/primary.ts';
import type { Standby } from '../harness/standby.ts';
import type { World } from '../harness/world.ts';
import { installHelpers } from './backup-kit.ts';
import { addRows, makeStandby } from './matrix-kit.ts';
import { expectExit } from './standby-kit.ts';

interface LaneState {
  readonly caughtUp?:
    { readonly timeline: number; readonly token: string; readonly hasNoData?: boolean } | undefined;
  readonly gap?: {
    readonly missing: readonly { readonly first: string; readonly last: string }[];
    readonly conflicts?: readonly { readonly name: string }[];
  };
}

/** A primary, a standby s2 that follows it, and a place s1 that stores its WAL. */
export async function makeTrio(world: World): Promise<{ primary: Primary; first: Standby; second: Standby }> {
  const primary = await world.startPrimary({ slaves: ['s1', 's2'] });
  await primary.sql('CREATE TABLE rows (id serial PRIMARY KEY)');
  await installHelpers(primary);
  const first = await world.addStandby('s1', primary);
  const second = await world.addStandby('s2', primary, { ini: { wal_timeout: 60 } });
  expectExit(await world.cmdStandby(first, ['-I']), 0);
  expectExit(await world.cmdStandby(second, ['-I']), 0);
  expectExit(await world.cmdArchiver(primary, ['-I']), 0);
  await makeStandby(world, second);
  // The shipper may have asked it when it had no data, and asks again after a minute.
  expectExit(await world.cmdArchiver(primary, ['--flush']), 0);
  return { primary, first, second };
}

/** A proof that was withdrawn counts as none. */
export function laneState(primary: Primary, standby: string): LaneState {
  const of = (suffix: string) => join(primary.lArchiveDir, '.archiver', `${standby}.${suffix}`);
  if (!existsSync(of('json'))) return {};
  const state = JSON.parse(readFileSync(of('json'), 'utf8')) as LaneState;
  const token = existsSync(of('proof')) ? readFileSync(of('proof'), 'utf8') : undefined;
  return state.caughtUp?.token === token ? state : { ...state, caughtUp: undefined };
}

export async function untilCaughtUp(primary: Primary, standby: string, timeline = 1): Promise<void> {
  const isProved = () => {
    const { caughtUp } = laneState(primary, standby);
    return caughtUp?.timeline === timeline && caughtUp.hasNoData !== true;
  };
  await eventually(isProved, { limitMs: 120_000, what: `${standby} caught up` });
}

/** Segments that everybody gets who is in `slaves` at that time. */
export async function archiveSegments(primary: Primary, count: number): Promise<string[]> {
  const names: string[] = [];
  for (let each = 0; each < count; each++) {
    await addRows(primary, 10);
    const name = await primary.switchWal();
    await primary.archived(name);
    names.push(name);
  }
  return names;
}

/** Takes a standby out of `slaves`, with its section. Returns what puts it back, with other keys if need be. */
export function dropSlave(primary: Primary, standby: string): (keys?: string) => void {
  const whole = readFileSync(primary.iniFile, 'utf8');
  const others = whole
    .replace(/^slaves: (.*)$/m, (_, names: string) => {
      const left = names.split(/, */).filter((name) => name !== standby);
      return `slaves: ${left.join(', ')}`;
    })
    .replace(new RegExp(`\\n\\[${standby}\\]\\n[^[]*`), '\n');
  if (others === whole) throw new Error(`${standby} is not in ${primary.iniFile}`);
  writeFileSync(primary.iniFile, others);
  return (keys = '') => {
    writeFileSync(primary.iniFile, whole.replace('[DEFAULT]\n', `[DEFAULT]\n${keys}`));
  };
}
