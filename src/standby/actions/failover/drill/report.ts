/** The report of a drill. */
import type { PitrError } from '../../../../errors.ts';
import { parseLsn } from '../../../../postgres/lsn.ts';
import { programVersion } from '../../../../system/program-root.ts';
import type { DrillReport } from '../../../drill/record.ts';
import { rtoOf } from '../../../recovery/phases.ts';
import type { Course, Drilling } from './drilling.ts';
import { commitTime } from './run.ts';

/** The form of --json: it changes when a field is removed or changes its meaning. */
const jsonVersion = 1;

export function rpoOf({ opened, primary }: Course): DrillReport['rpo'] {
  const lastCommit = opened === undefined ? undefined : commitTime(opened.replayed);
  const known = primary?.lsn === undefined ? {} : { primaryLsn: primary.lsn };
  const commit = lastCommit === undefined ? {} : { lastCommit };
  const reached = opened?.replayed.lsn;
  if (primary?.lsn === undefined || reached === undefined) return { ...commit, ...known };
  const missing = Number(parseLsn(primary.lsn) - reached);
  const bytes = Math.max(0, missing);
  const time = opened?.replayed.time;
  if (bytes === 0) return { ...commit, ...known, bytes, seconds: 0 };
  const sinceS = time === undefined ? undefined : primary.atMs / 1000 - Number(time) / 1e6;
  // The commit has the time of the primary's clock: one that is ahead of the clock here shows no time.
  const seconds = sinceS === undefined || sinceS < 0 ? {} : { seconds: sinceS };
  return { ...commit, ...known, bytes, ...seconds };
}

export function reportOf({ deps, origin, course }: Drilling, failure: PitrError | undefined): DrillReport {
  const { opened, phases, checks, announcedBytes, diskBytes, stoppedSeconds, startedMs } = course;
  const why = failure && {
    message: failure.message,
    ...(failure.detail === undefined ? {} : { detail: failure.detail }),
    ...(failure.hint === undefined ? {} : { hint: failure.hint }),
  };
  return {
    version: jsonVersion,
    program: 'cmd_standby',
    programVersion: programVersion(),
    host: deps.hostName,
    startedAt: new Date(startedMs).toISOString(),
    endedAt: new Date(deps.now()).toISOString(),
    result: failure === undefined ? 'passed' : 'failed',
    ...(why === undefined ? {} : { failure: why }),
    copy: origin.way,
    ...(stoppedSeconds === undefined ? {} : { stoppedSeconds }),
    ...(opened?.target === undefined ? {} : { target: opened.target }),
    phases,
    ...(opened === undefined ? {} : { rtoSeconds: rtoOf(phases) }),
    ...(opened?.timeline === undefined ? {} : { timeline: opened.timeline }),
    ...(opened?.replay === undefined ? {} : { replay: opened.replay }),
    rpo: rpoOf(course),
    ...(announcedBytes === undefined ? {} : { announcedBytes }),
    ...(diskBytes === undefined ? {} : { diskBytes }),
    checks,
  };
}
