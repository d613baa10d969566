/** The report of a drill for people. Pure. */
import { durationText, rateText, sizeText } from '../../amounts.ts';
import { quoted } from '../../system/printable.ts';
import { phasesText } from '../recovery/phases.ts';
import type { DrillReport } from './record.ts';

const unknown = 'not determined';

function rpoLine({ rpo }: DrillReport): string {
  const commit = `last commit ${rpo.lastCommit ?? unknown}`;
  if (rpo.bytes === undefined) {
    const why =
      rpo.primaryLsn === undefined
        ? "the end of the primary's WAL is not known"
        : `it is not known how far the copy has replayed; the primary's WAL ended at LSN ${rpo.primaryLsn}`;
    return `RPO: ${unknown} (${why}); ${commit}`;
  }
  if (rpo.bytes === 0) return `RPO: nothing of the primary's WAL is missing; ${commit}`;
  // An idle primary writes WAL as well, long after its last commit.
  const time = rpo.seconds === undefined ? '' : `, of the last ${durationText(rpo.seconds)} at most`;
  return `RPO: ${sizeText(rpo.bytes)} of the primary's WAL are missing${time}; ${commit}`;
}

function replayLine({ replay }: DrillReport): string {
  if (replay === undefined) return `Replayed: ${unknown}`;
  const { from, to, bytes, seconds, bytesPerSecond } = replay;
  return `Replayed: ${sizeText(bytes)} in ${durationText(seconds)} (${rateText(bytesPerSecond)}), from LSN ${from} to ${to}`;
}

function diskText({ diskBytes, announcedBytes }: DrillReport): string {
  const taken = diskBytes === undefined ? unknown : sizeText(diskBytes);
  return announcedBytes === undefined ? taken : `${taken} of ${sizeText(announcedBytes)} that were announced`;
}

export const copies = {
  backup: 'by a base backup of the standby as it runs',
  stopped: 'from the files of the standby, on which no server runs',
  'stopped-for-it': 'from the files of the standby, which was stopped for it',
  snapshot: 'a snapshot by drill_snapshot',
  'new-base-backup': 'by a new base backup of the primary',
} as const;

/** Lines. */
export function describeDrill(report: DrillReport): readonly string[] {
  const { result, failure, copy, stoppedSeconds, target, phases, rtoSeconds, checks, timeline } = report;
  return [
    `Drill ${result}${target === undefined ? '' : `, to ${quoted(target, 200)}`}`,
    `Copy: ${copies[copy]}${stoppedSeconds === undefined ? '' : `, for ${durationText(stoppedSeconds)}`}; it took ${diskText(report)}`,
    `RTO: ${rtoSeconds === undefined ? unknown : durationText(rtoSeconds)}${timeline === undefined ? '' : `, to a server that takes writes on timeline ${timeline}`}`,
    `Phases: ${phasesText(phases)}`,
    replayLine(report),
    rpoLine(report),
    ...checks.map(
      ({ name, result: verdict, detail }) => `Check ${name}: ${verdict}: ${quoted(detail, 1_000)}`,
    ),
    ...(failure === undefined ? [] : [`Failed: ${quoted(failure.message, 1_000)}`]),
  ];
}
