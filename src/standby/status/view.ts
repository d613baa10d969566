/** The outside world of one view of --status: everything that it begins ends by itself within the limit of the view. */
import { type LookDeps, viewMs, withinView } from '../../status/fact.ts';
import { withTimeLimit } from '../../system/leash.ts';
import type { WithLocalSql } from '../../system/local-sql.ts';
import type { Log } from '../../system/log.ts';
import { checkRecords, type ReadRecords } from '../archive/read-records.ts';
import type { StandbyDeps } from '../deps.ts';

export type StatusDeps = StandbyDeps & LookDeps;

/** To compare this host with the answers of the others. */
const afterwardsS = 0.7;
const leastS = 0.375;

/** Any number of them is a whole number of milliseconds, as timers want it. */
const wholeEighths = (seconds: number): number => Math.floor(seconds * 8) / 8;

/** For the server here. */
const localMs = 1_200;

/** The view itself says what is not well. */
function quiet(log: Log): Log {
  const debug: Log['debug'] = (message, facts) => {
    log.debug(message, facts);
  };
  return { debug, notice: debug, warning: debug, error: debug };
}

export function statusDeps(deps: StandbyDeps): StatusDeps {
  const view = withinView(deps);
  const leftMs = () => Math.max(1, view.endMs - deps.monotonicMs());
  const withLocalSql: WithLocalSql = (server, limitMs, use) =>
    deps.withLocalSql(server, Math.min(limitMs, localMs, leftMs()), use);
  const { failover_probe_timeout: given } = deps.settings;
  const settings = {
    ...deps.settings,
    /** Read when a host is asked: the looks before that must not use up the time for those after it. */
    get failover_probe_timeout() {
      return wholeEighths(Math.max(leastS, Math.min(given, leftMs() / 1000 - afterwardsS)));
    },
  };
  return {
    ...view,
    log: quiet(deps.log),
    signal: withTimeLimit(deps.signal, viewMs),
    settings,
    withLocalSql,
  };
}

const recordsMs = 600;

/** -F999 reads every record that is still to be replayed; a view reads as many as its time allows. */
export const readSome: ReadRecords = async (segments, from, signal) => {
  const limit = AbortSignal.timeout(recordsMs);
  try {
    return await checkRecords(segments, from, AbortSignal.any([signal, limit]));
  } catch (error) {
    if (!limit.aborted || signal.aborted) throw error;
    return { kind: 'unknown', reason: `${segments.length} segments are too much for a look` };
  }
};
