/** The file systems of a view: their space, when they are full, and the table and numbers that show them. */
import { statfs } from 'node:fs/promises';
import { durationText, sizeText } from '../amounts.ts';
import { type Fact, factText, look, type LookDeps, valueOf } from './fact.ts';
import { type Finding, unknownFinding } from './finding.ts';
import { type DiskUse, judgeDisk, percentUsed, type StatusLimits } from './limits.ts';
import { gauge, type Metric, type Section } from './report.ts';
import type { Samples } from './samples.ts';
import { emptyInS, trendOf } from './trend.ts';

/** `name` is what lies there, such as pg_wal. */
export interface DiskPlace {
  readonly name: string;
  readonly path: string;
}

interface Disk extends DiskPlace {
  readonly use: Fact<DiskUse>;
}

export interface DiskFacts extends Disk {
  /** At the rate of the last half hour; Infinity if it does not get fuller. */
  readonly fullInS: Fact<number>;
}

const windowMs = 30 * 60_000;

export async function diskUseOf(path: string): Promise<DiskUse> {
  const { bavail, bfree, blocks, bsize } = await statfs(path);
  // As df counts: the space that only root may use is not there for us.
  return { bytes: (blocks - bfree + bavail) * bsize, freeBytes: bavail * bsize };
}

export function observeDisks(deps: LookDeps, places: readonly DiskPlace[]): Promise<readonly Disk[]> {
  return Promise.all(
    places.map(async (place) => ({ ...place, use: await look(deps, () => diskUseOf(place.path)) })),
  );
}

/** The numbers of them to write down, by path. */
export function diskSamples(disks: readonly Disk[]): Readonly<Record<string, number>> {
  return Object.fromEntries(
    disks.flatMap(({ path, use }) => (use.kind === 'seen' ? [[path, use.value.freeBytes] as const] : [])),
  );
}

function forecast(use: Fact<DiskUse>, { pointsOf }: Samples, path: string, nowMs: number): Fact<number> {
  if (use.kind === 'unknown') return use;
  const trend = trendOf(pointsOf(path), nowMs, windowMs);
  if (trend === undefined)
    return { kind: 'unknown', reason: 'it was looked at for too short a time', atMs: use.atMs };
  return { ...use, value: emptyInS(use.value.freeBytes, trend) };
}

/** @param nowMs on the clock of the samples */
export function withForecast(disks: readonly Disk[], samples: Samples, nowMs: number): readonly DiskFacts[] {
  return disks.map((disk) => ({ ...disk, fullInS: forecast(disk.use, samples, disk.path, nowMs) }));
}

export function judgeDisks(limits: StatusLimits, disks: readonly DiskFacts[]): Finding[] {
  return disks.flatMap((disk) =>
    disk.use.kind === 'unknown'
      ? unknownFinding(
          'disk',
          `the space of ${disk.name} (${disk.path})`,
          disk.use,
          'Check that this user may enter the directory.',
        )
      : judgeDisk(limits, disk, disk.use.value, valueOf(disk.fullInS)),
  );
}

function diskRow({ name, path, use, fullInS }: DiskFacts): string[] {
  return [
    name,
    path,
    factText(use, (seen) => `${percentUsed(seen)} % of ${sizeText(seen.bytes)}`),
    factText(use, ({ freeBytes }) => sizeText(freeBytes)),
    factText(fullInS, (seconds) =>
      seconds === Infinity ? 'does not get fuller' : `in ${durationText(seconds)}`,
    ),
  ];
}

export function diskSection(disks: readonly DiskFacts[]): Section {
  return {
    title: 'File systems',
    head: ['of', 'path', 'used', 'free', 'full'],
    rows: disks.map(diskRow),
  };
}

export function diskMetrics(disks: readonly DiskFacts[]): readonly Metric[] {
  const each = (value: (disk: DiskFacts) => number | undefined): Metric['samples'] =>
    disks.map((disk) => ({ labels: { of: disk.name }, value: value(disk) }));
  return [
    gauge(
      'disk_bytes',
      'The size of the file system.',
      each(({ use }) => valueOf(use)?.bytes),
    ),
    gauge(
      'disk_free_bytes',
      'The space that is free there.',
      each(({ use }) => valueOf(use)?.freeBytes),
    ),
    gauge(
      'disk_full_in_seconds',
      'The time until it is full, at the rate of the last half hour.',
      each(({ fullInS }) => valueOf(fullInS)),
    ),
  ];
}
