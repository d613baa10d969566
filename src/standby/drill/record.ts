/** The last drill, in `drill_dir`: for --status and --check, and to know what was notified. */
import { join } from 'node:path';
import { writeDurably } from '../../system/durable.ts';
import { readIfExists } from '../../system/durable.ts';
import { type Checked, is, parseJson } from '../../system/json.ts';
import type { StandbyDeps } from '../deps.ts';
import { isPhase } from '../recovery/phases.ts';
import { lastName } from './place.ts';

const isCheck = is.object({
  name: is.text,
  result: is.oneOf('passed', 'failed', 'not checked'),
  detail: is.text,
});

/** The report of one drill. Times in ISO 8601, LSNs as PostgreSQL prints them, sizes in bytes. */
const reportFields = {
  version: is.number,
  program: is.text,
  programVersion: is.text,
  host: is.text,
  startedAt: is.text,
  endedAt: is.text,
  result: is.oneOf('passed', 'failed'),
  /** Why it has failed. */
  failure: is.optional(
    is.object({ message: is.text, detail: is.optional(is.text), hint: is.optional(is.text) }),
  ),
  /** How the copy was made. */
  copy: is.oneOf('backup', 'stopped', 'stopped-for-it', 'snapshot', 'new-base-backup'),
  /** How long the standby was stopped for it. */
  stoppedSeconds: is.optional(is.number),
  /** The recovery target; not set if all WAL was replayed. */
  target: is.optional(is.text),
  phases: is.listOf(isPhase),
  /** The phases after the copy, up to the moment at which clients can be sent to the server. */
  rtoSeconds: is.optional(is.number),
  timeline: is.optional(is.number),
  replay: is.optional(
    is.object({
      from: is.text,
      to: is.text,
      bytes: is.number,
      seconds: is.number,
      bytesPerSecond: is.optional(is.number),
    }),
  ),
  rpo: is.object({
    /** The last commit in the copy. */
    lastCommit: is.optional(is.text),
    /** The end of the primary's WAL when the copy was complete; not set if it could not be asked. */
    primaryLsn: is.optional(is.text),
    /** The part of it that the copy does not have. */
    bytes: is.optional(is.number),
    /**
     * Between the last commit in the copy, by the primary's clock, and that moment, by the clock here: what is missing was
     * committed in that time, if anything was. 0 if nothing is missing; not set if the clocks contradict each other.
     */
    seconds: is.optional(is.number),
  }),
  /** The estimate of diskBytes before the copy. */
  announcedBytes: is.optional(is.number),
  diskBytes: is.optional(is.number),
  checks: is.listOf(isCheck),
} as const;

export type DrillReport = Checked<typeof reportFields>;

const isReport = is.object(reportFields);

/** Whether it says nothing of the standby's own files. */
export function isFromBackup({ copy }: Pick<DrillReport, 'copy'>): boolean {
  return copy === 'new-base-backup';
}

const kindFields = {
  last: isReport,
  /** The end of the last drill that has passed. */
  passedAt: is.optional(is.text),
} as const;

/** The last drill of one kind. */
export type LastDrill = Checked<typeof kindFields>;

const lastFields = {
  /** The last one of the standby. */
  last: is.optional(isReport),
  passedAt: is.optional(is.text),
  /** From a new base backup. */
  fromBackup: is.optional(is.object(kindFields)),
} as const;

/** Undefined for a kind of which there was none. */
export interface LastDrills {
  readonly ofStandby: LastDrill | undefined;
  readonly fromBackup: LastDrill | undefined;
}

function pathOf(directory: string): string {
  return join(directory, lastName);
}

/** Throws for a file that is not ours. */
export async function readLastDrills(directory: string): Promise<LastDrills> {
  const content = await readIfExists(pathOf(directory));
  if (content === undefined) return { ofStandby: undefined, fromBackup: undefined };
  const { last, passedAt, fromBackup } = parseJson(content.toString('utf8'), lastFields);
  return { ofStandby: last === undefined ? undefined : { last, passedAt }, fromBackup };
}

/** @returns the drill of this kind before it; undefined if there was none, or if its record cannot be understood */
export async function recordDrill(
  { log }: Pick<StandbyDeps, 'log'>,
  directory: string,
  last: DrillReport,
): Promise<LastDrill | undefined> {
  const known = await readLastDrills(directory).catch(() => undefined);
  const isOfBackup = isFromBackup(last);
  const before = isOfBackup ? known?.fromBackup : known?.ofStandby;
  const passedAt = last.result === 'passed' ? last.endedAt : before?.passedAt;
  const own = { last, passedAt };
  const record = isOfBackup
    ? { ...known?.ofStandby, fromBackup: own }
    : { ...own, fromBackup: known?.fromBackup };
  await writeDurably(pathOf(directory), `${JSON.stringify(record, null, 2)}\n`).catch((error: unknown) => {
    log.warning(`the result of the drill cannot be recorded in "${directory}"`, { cause: String(error) });
  });
  return before;
}
