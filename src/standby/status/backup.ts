/** The base backup in pgdata by its record. Pure. */
import type { DataDirectory } from '../server/data-directory.ts';

export interface BackupFacts {
  readonly label: string;
  /** In ISO 8601. */
  readonly at: string | undefined;
  readonly ageS: number | undefined;
  /** The standby whose files were copied; undefined if it was the primary. */
  readonly source: string | undefined;
  /** No server was started on it yet: recovery would begin with it. */
  readonly isUnused: boolean;
  /** When its pages were checked; undefined if they were not. */
  readonly verifiedAt: string | undefined;
  /** Pages that were damaged then. */
  readonly damaged: number;
}

/** Undefined if there is no record of one, as after a base backup by hand. */
export function backupFacts(directory: DataDirectory, nowMs: number): BackupFacts | undefined {
  const { backup } = directory.record;
  if (backup === undefined) return undefined;
  const { label, startTime, stopTime = startTime, source, verified } = backup;
  const ms = Date.parse(stopTime);
  const isKnown = !Number.isNaN(ms);
  return {
    label,
    at: isKnown ? new Date(ms).toISOString() : undefined,
    ageS: isKnown ? Math.max(0, (nowMs - ms) / 1000) : undefined,
    source,
    isUnused: directory.backupLabel !== undefined,
    verifiedAt: verified?.time,
    damaged: verified?.findings.length ?? 0,
  };
}
