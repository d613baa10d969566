import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../harness/eventually.ts';
import type { Primary } from '../harness/primary.ts';
import { addRows } from './matrix-kit.ts';

interface LaneState {
  readonly caughtUp?: { readonly timeline: number; readonly upTo: string; readonly hasNoData?: boolean };
  readonly gap?: { readonly missing: readonly { readonly first: string; readonly last: string }[] };
}

export function laneState(primary: Primary, standby: string): LaneState {
  const file = join(primary.lArchiveDir, '.archiver', `${standby}.json`);
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as LaneState) : {};
}

export async function untilCaughtUp(primary: Primary, standby: string, timeline = 1): Promise<void> {
  await eventually(() => laneState(primary, standby).caughtUp?.timeline === timeline, {
    limitMs: 60_000,
    what: `${standby} caught up`,
  });
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
