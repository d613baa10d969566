/** The limits by which amounts of WAL and of space are a warning or critical: keys of the INI file. Pure. */
import { durationText, sizeText } from '../amounts.ts';
import type { Finding, Level } from './finding.ts';

export interface StatusLimits {
  /** Bytes. */
  readonly behind_warning_size: number;
  readonly behind_critical_size: number;
  /** Seconds, as all times here. */
  readonly behind_warning_time: number;
  readonly behind_critical_time: number;
  /** Per cent in use. */
  readonly disk_warning: number;
  readonly disk_critical: number;
  readonly disk_full_warning: number;
  readonly disk_full_critical: number;
}

/**
 * How bad it is that so much WAL waits for so long. Both limits must be reached, so that an idle server, whose last
 * segment may wait for hours, is no alarm. A time that is not known counts as long.
 */
export function levelBehind(limits: StatusLimits, bytes: number, ageS: number | undefined): Level {
  const age = ageS ?? Infinity;
  if (bytes >= limits.behind_critical_size && age >= limits.behind_critical_time) return 'critical';
  return bytes >= limits.behind_warning_size && age >= limits.behind_warning_time ? 'warning' : 'ok';
}

export interface DiskUse {
  readonly bytes: number;
  readonly freeBytes: number;
}

export function percentUsed({ bytes, freeBytes }: DiskUse): number {
  return bytes === 0 ? 100 : Math.round(((bytes - freeBytes) / bytes) * 1000) / 10;
}

function levelOfDisk(limits: StatusLimits, used: number, fullInS: number | undefined): Level {
  const left = fullInS ?? Infinity;
  if (used >= limits.disk_critical || left <= limits.disk_full_critical) return 'critical';
  return used >= limits.disk_warning || left <= limits.disk_full_warning ? 'warning' : 'ok';
}

/** `name` is what lies there, such as pg_wal. */
export function judgeDisk(
  limits: StatusLimits,
  { name, path }: { readonly name: string; readonly path: string },
  use: DiskUse,
  fullInS: number | undefined,
): Finding[] {
  const used = percentUsed(use);
  const level = levelOfDisk(limits, used, fullInS);
  if (level === 'ok') return [];
  const full =
    fullInS === undefined || fullInS === Infinity
      ? ''
      : `; at this rate it is full in ${durationText(fullInS)}`;
  return [
    {
      name: 'disk',
      about: name,
      level,
      message: `the file system of ${name} (${path}) is ${used} % full, ${sizeText(use.freeBytes)} are free${full}`,
      hint: 'Free space there, or enlarge it.',
    },
  ];
}
