import { PitrError } from '../../../errors.ts';
import type { StandbyDeps } from '../../deps.ts';
import type { Replayed } from '../../recovery/replayed.ts';
import { notStartedHere } from '../../server/local-server.ts';
import { serverOf } from '../../server/server.ts';
import type { ServerContext } from '../../steps/server-steps.ts';
import type { StepEntry } from '../../steps/step-table.ts';
import type { LocalFacts } from './facts.ts';
import type { ArchiveEnd, Archiving } from './outcome.ts';

/** The server that the steps work on, and the results that later steps or the report need. */
export interface FailoverRun extends ServerContext {
  /** Once it is begun the server may open when it has no more WAL, whatever becomes of this run. */
  opening: 'not begun' | 'begun' | 'done';
  /** The timeline of the server as it runs now, once it has taken a write. */
  timeline?: number | undefined;
  /** As the server said right after it had opened: a restart forgets it. */
  replayed?: Replayed | undefined;
  archiveEnd?: ArchiveEnd | undefined;
  archiving?: Archiving | undefined;
  /** How action_failover failed; undefined while it has not. */
  actionFailure?: string;
}

export function newRun(
  deps: StandbyDeps,
  { directory, isAllReplayed }: Pick<LocalFacts, 'directory' | 'isAllReplayed'>,
): FailoverRun {
  return {
    server: serverOf(deps, directory.capabilities),
    started: notStartedHere,
    opening: 'not begun',
    archiveEnd: isAllReplayed ? { kind: 'reached-before' } : undefined,
  };
}

/** One kind of step of a failover; `P` is what the plan gives it. */
export function step<P = unknown>(entry: StepEntry<P, FailoverRun>): StepEntry<P, FailoverRun> {
  return entry;
}

/** The same step; its errors become what `explain` makes of them. */
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
