import { PitrError } from '../../../errors.ts';
import type { StandbyDeps } from '../../deps.ts';
import type { PromotionRecord } from '../../host/backup-record/record.ts';
import type { Phase } from '../../recovery/phases.ts';
import type { Replayed } from '../../recovery/replayed.ts';
import { notStartedHere } from '../../server/local-server.ts';
import { serverOf } from '../../server/server.ts';
import type { Sibling } from '../../siblings/ask.ts';
import type { Informed } from '../../siblings/inform.ts';
import type { ServerContext } from '../../steps/server-steps.ts';
import { entriesFor, type StepEntry } from '../../steps/step-table.ts';
import type { LocalFacts } from './facts.ts';
import type { ArchiveEnd, Archiving } from './report.ts';
import type { LeftResult } from './role.ts';

/** The server that the steps work on, and the results that later steps or the report need. */
export interface FailoverRun extends ServerContext {
  /** How long each part of this run took. */
  readonly phases: Phase[];
  /** From 'begun' on, the server may open as soon as it has no more WAL, even if this run ends. */
  opening: 'not begun' | 'begun' | 'done';
  /** Names this run in the record of pgdata, from before the server can open. */
  promotion?: PromotionRecord | undefined;
  /** The promotion by a killed run that has asked the server to open, which has not done so yet. */
  earlier?: PromotionRecord | undefined;
  /** The timeline of the running server; undefined until it has taken a write. */
  timeline?: number | undefined;
  /** The server's answer right after it opened: after a restart it does not know this any more. */
  replayed?: Replayed | undefined;
  archiveEnd?: ArchiveEnd | undefined;
  archiving?: Archiving | undefined;
  /** The timelines that were declared left; undefined if this server did not take the role. */
  left?: LeftResult | undefined;
  informed?: readonly Informed[] | undefined;
  /** Other standbys that were silent at first, and have answered right before the promotion. */
  returned?: readonly Sibling[];
  /** Whether action_fence has succeeded; undefined if it was not run. */
  isFenced?: boolean;
  /** The reason why action_failover failed; undefined if it did not. */
  actionFailure?: string;
}

export function newRun(
  deps: StandbyDeps,
  { directory, isAllReplayed }: Pick<LocalFacts, 'directory' | 'isAllReplayed'>,
  phases: Phase[] = [],
): FailoverRun {
  return {
    phases,
    server: serverOf(deps, directory.capabilities),
    started: notStartedHere,
    opening: 'not begun',
    archiveEnd: isAllReplayed ? { kind: 'reached-before' } : undefined,
  };
}

export const step = entriesFor<FailoverRun>();

/** The same step; `explain` converts its errors. */
export function explained<P, C>(
  entry: StepEntry<P, C>,
  explain: (error: PitrError, context: C) => PitrError,
): StepEntry<P, C> {
  return {
    ...entry,
    run: async (context, planned) => {
      try {
        await entry.run(context, planned);
      } catch (error) {
        throw error instanceof PitrError ? explain(error, context) : error;
      }
    },
  };
}
