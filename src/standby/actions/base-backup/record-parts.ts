import type { BackupLabel } from '../../../postgres/backup-label.ts';
import { formatLsn, segmentContaining, segmentEndingAt } from '../../../postgres/lsn.ts';
import { programVersion } from '../../../system/program-root.ts';
import type { BackupRecord } from '../../backup-record/record.ts';
import { needed } from './context.ts';
import { type BackupFacts, layoutOf } from './facts.ts';

/** The record of a backup that is beginning. */
export function recordOfStart(facts: BackupFacts, lsn: bigint, startTime: string): BackupRecord {
  const { primary, label, source } = facts;
  const { timeline } = needed(facts.position, 'the position of the primary');
  return {
    status: 'copying',
    label,
    systemIdentifier: primary.systemIdentifier,
    primaryPgdata: primary.dataDirectory,
    timeline,
    segmentSize: primary.settings.walSegmentSize,
    startLsn: formatLsn(lsn),
    startSegment: segmentContaining(timeline, lsn, layoutOf(facts)).text,
    startTime,
    timeZone: primary.settings.timeZone,
    toolVersion: programVersion(),
    ...(source === undefined ? {} : { source: source.host }),
  };
}

/** The start of recovery, as backup_label has it. */
export function startIn({ startLsn, startSegment }: BackupLabel) {
  return {
    startLsn: formatLsn(startLsn),
    startSegment: startSegment.text,
    timeline: startSegment.timeline,
  };
}

export function stopAt(facts: BackupFacts, { startSegment }: BackupLabel, lsn: bigint) {
  return {
    stopLsn: formatLsn(lsn),
    stopSegment: segmentEndingAt(startSegment.timeline, lsn, layoutOf(facts)).text,
  };
}
