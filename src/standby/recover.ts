import { PitrError, refusal } from '../errors.ts';
import type { ActionOptions, StandbyDeps } from './deps.ts';
import { carryOutFailover, primaryPgdata } from './failover.ts';
import { observeHere, type FailoverFacts } from './failover/facts.ts';
import { afterSteps, refuseAlive, refuseArchive } from './failover/plan.ts';
import type { FailoverStep } from './failover/steps.ts';
import { describeLiveness, probePrimary } from './liveness.ts';
import { formatUtc } from '../postgres/timestamp.ts';
import { serverLogSince, type Started } from './local-server.ts';
import { chooseTarget, microsOf, type Target, type TargetBounds } from './recover/target.ts';
import { recoverySettings } from './recovery-settings.ts';
import type { DataDirectory } from './server/data-directory.ts';
import { withLocalServer } from './server/server-state.ts';
import { refuseNoStandby } from './start-standby.ts';

export function planRecovery(facts: FailoverFacts, target: Target): readonly FailoverStep[] {
  const { state, directory, place, configuration, standbyCopies } = facts;
  refuseAlive(facts);
  refuseArchive({ ...facts, force: false });
  if (state.kind === 'production') {
    throw refusal(
      `the server in "${directory.pgdata}" is out of recovery: it cannot be recovered to another moment`,
      {
        hint: 'Make a new base backup and recover from that.',
      },
    );
  }
  if (state.kind === 'starting')
    throw refusal('the server here is still starting: stop it first, with -A stop');
  if (state.kind === 'recovering' && !state.answers) {
    throw refusal('a warm standby runs here, and cannot be asked how far it has replayed', {
      hint: 'It has replayed all that the archive held, so that recovery to a moment is for a cold standby. If the moment is still to come, stop it first, with -A stop.',
    });
  }
  refuseNoStandby(directory);
  const settings = recoverySettings(
    directory.capabilities,
    { kind: 'to-time', micros: target.micros },
    place,
  );
  const stop: readonly FailoverStep[] = state.kind === 'stopped' ? [] : [{ kind: 'stop-server' }];
  return [
    ...stop,
    ...standbyCopies.map((copy) => ({ kind: 'copy-conf', copy }) as const),
    { kind: 'write-settings', mode: 'recovery', settings },
    { kind: 'start-server', configuration },
    { kind: 'see-it-open', target: target.shown },
    ...afterSteps(facts),
  ];
}

/** The time of the last transaction that was replayed, from a server that answers. */
async function replayedUpTo(deps: StandbyDeps, directory: DataDirectory): Promise<bigint | undefined> {
  const { lastReplayTimestampFunction: last } = directory.capabilities;
  if (last === undefined) return undefined;
  // Six digits of a second, and UTC, whatever DateStyle and TimeZone say.
  const answer = await withLocalServer(deps, directory.capabilities, (sql) =>
    sql(`SELECT to_char(${last}() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00' AS at`),
  );
  const at = answer.kind === 'answered' ? answer.value[0]?.['at'] : undefined;
  return typeof at === 'string' ? microsOf(at) : undefined;
}

/** The end of the base backup; where only its beginning is known, that. */
function backupEnd({ record, backupLabel }: DataDirectory): bigint | undefined {
  return (
    microsOf(record.backup?.stopTime) ??
    microsOf(record.backup?.startTime) ??
    microsOf(backupLabel?.startTime)
  );
}

async function bounds(
  deps: StandbyDeps,
  facts: Pick<FailoverFacts, 'directory' | 'state' | 'configuration'>,
): Promise<TargetBounds> {
  const { directory, state, configuration } = facts;
  const zone = directory.record.backup?.timeZone ?? configuration.inFile.get('timezone') ?? 'an unknown zone';
  return {
    notBefore: backupEnd(directory),
    replayed: state.kind === 'recovering' ? await replayedUpTo(deps, directory) : undefined,
    now: BigInt(deps.now().getTime()) * 1000n,
    zone,
  };
}

/** More than a server logs while it recovers. */
const readLogBytes = 1024 * 1024;

/** Before 13 a server opens at the end of the WAL as if that were the moment: what it reached must be said. */
async function sayReached(
  deps: StandbyDeps,
  directory: DataDirectory,
  target: Target,
  started: Started,
): Promise<void> {
  const reached = await replayedUpTo(deps, directory);
  if (reached !== undefined) deps.report(`The last transaction in it was committed at ${formatUtc(reached)}`);
  if (directory.capabilities.unreachedTargetIsFatal) return;
  const log = await serverLogSince(deps, started, readLogBytes);
  if (log !== undefined && /recovery stopping (before|after)/.test(log)) return;
  deps.log.warning(
    `no transaction after ${target.shown} was met: if there were any, the WAL here ended before it, and the server was opened at that end`,
  );
}

function refuseStreaming(deps: StandbyDeps): void {
  if (!deps.settings.use_streaming_replication) return;
  throw refusal('recovery to a moment is not for a standby that streams: use_streaming_replication is on', {
    hint: 'A streaming standby has replayed all there is. Set use_streaming_replication: no on a cold standby.',
  });
}

/** `-F999 -R TIMESTAMP`: recovers to that moment and opens there. */
export async function recoverTo(
  deps: StandbyDeps,
  options: ActionOptions,
  timestamp: string,
): Promise<number> {
  refuseStreaming(deps);
  const here = await observeHere(deps);
  const target = chooseTarget(timestamp, await bounds(deps, here));
  deps.report(`Recovery to ${target.shown}`);
  const liveness = await probePrimary(deps, await primaryPgdata(deps));
  const facts: FailoverFacts = { ...here, liveness, force: options.force };
  const steps = planRecovery(facts, target);
  deps.log.notice(describeLiveness(liveness));
  return carryOutFailover(deps, facts, steps, options, {
    explainNotOpen: (error) => explain(error, target),
    beforeReport: (run) => sayReached(deps, here.directory, target, run.started),
  });
}

/** The server's own words, in the C locale, for its two ways of not getting there. */
function explain(error: PitrError, target: Target): PitrError {
  const said = error.detail ?? '';
  const { detail, cause } = error;
  if (said.includes('recovery ended before configured recovery target was reached')) {
    return new PitrError(`the WAL in the archive ends before ${target.shown}`, {
      detail,
      cause,
      hint: 'Choose an earlier moment, or bring the missing WAL; or go on as a standby, with -S.',
    });
  }
  if (!said.includes('before consistent recovery point')) return error;
  return new PitrError(`the standby has replayed past ${target.shown} already`, {
    detail,
    cause,
    hint: 'Go on as a standby with -S, or make a new base backup and recover from that.',
  });
}
