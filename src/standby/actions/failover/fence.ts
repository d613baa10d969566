/**
 * action_fence: the site's own way to make sure that the old primary takes no more writes. It runs before this standby is
 * promoted, and whatever the primary looked like from here: an unreachable one may live beyond a broken network, and a
 * dead one may be started again.
 */
import { PitrError, refusal } from '../../../errors.ts';
import { describeResult, succeeded } from '../../../system/command.ts';
import { quoted } from '../../../system/printable.ts';
import type { StandbyDeps } from '../../deps.ts';
import { changeRecord, type StandbyRecord } from '../../host/backup-record/record.ts';
import { probePrimary } from '../../primary/liveness/liveness.ts';
import { describeLiveness, type Liveness } from '../../primary/liveness/verdict.ts';
import { overrules } from '../../steps/force.ts';
import type { FailoverFacts } from './facts.ts';
import { awaitEarlier, runNoted } from './noted-command.ts';
import { type Role, roleOf } from './role.ts';
import { type FailoverRun, step } from './run.ts';

interface DueFence {
  readonly command: string;
  readonly limitS: number;
  /** An earlier run began it, and its failover was not finished. */
  readonly isRepeated: boolean;
}

/** The state of action_fence in this run. */
export type Fence =
  | { readonly kind: 'none' }
  | ({ readonly kind: 'due' } & DueFence)
  | { readonly kind: 'done' }
  /** --force=fence accepts it. */
  | { readonly kind: 'failed' };

export function fenceOf({ settings }: StandbyDeps, { isFenceBegun }: StandbyRecord): Fence {
  const { action_fence: command, fence_timeout: limitS } = settings;
  if (command === undefined) return { kind: 'none' };
  return { kind: 'due', command, limitS, isRepeated: isFenceBegun === true };
}

interface RunFence extends DueFence {
  readonly liveness: Liveness;
  /** --force=fence. */
  readonly isAccepted: boolean;
}

/** First of all steps: a failure has changed nothing on this host. */
export function fenceSteps(
  { fence, liveness, force }: Pick<FailoverFacts, 'fence' | 'liveness' | 'force'>,
  role: Role,
) {
  if (fence.kind !== 'due' || role.kind !== 'taken') return [];
  const { command, limitS, isRepeated } = fence;
  const isAccepted = overrules(force, 'fence');
  return [{ kind: 'fence', command, limitS, isRepeated, liveness, isAccepted }] as const;
}

/** The operator may expect the fence to run. */
export function sayNotFenced({ log }: StandbyDeps, facts: FailoverFacts, opensAtTarget: boolean): void {
  const role = roleOf(facts, opensAtTarget);
  if (facts.fence.kind === 'due' && role.kind === 'left')
    log.warning(
      `action_fence is not run: this failover does not take the primary's role, because ${role.reason} (--take-role: it is run)`,
    );
}

/** The reason why it has failed; undefined if it has not. */
async function failureOf(deps: StandbyDeps, fence: RunFence): Promise<string | undefined> {
  const { command, limitS, liveness, isRepeated } = fence;
  const noted = { key: 'action_fence', pidName: 'pitrtools-fence', limitS } as const;
  try {
    await awaitEarlier(deps, noted);
  } catch (error) {
    if (!(error instanceof PitrError)) throw error;
    return [error.message, error.hint].filter(Boolean).join('. ');
  }
  const result = await runNoted(deps, noted, command, {
    ACTION: 'failover',
    LIVENESS: liveness.kind,
    REASON: quoted(describeLiveness(liveness), 2000),
    REPEATED: isRepeated ? 'yes' : 'no',
    MESSAGE: `fence ${deps.settings.master_public_ip}: ${deps.hostName} is to be promoted`,
  });
  deps.signal.throwIfAborted();
  if (!succeeded(result)) return describeResult(result);
  if (liveness.kind !== 'alive') return undefined;
  // The operator has overruled that it was alive. After the fence it must not be.
  const now = await probePrimary(deps);
  return now.kind === 'alive' ? `it exited 0, but ${describeLiveness(now)}` : undefined;
}

async function runFence(run: FailoverRun, fence: RunFence): Promise<void> {
  const { deps, pgdata } = run.server;
  await changeRecord(pgdata, { isFenceBegun: true });
  const failure = await failureOf(deps, fence);
  run.isFenced = failure === undefined;
  if (failure === undefined) {
    deps.log.notice('action_fence has succeeded');
    return;
  }
  if (!fence.isAccepted) {
    throw refusal(`action_fence has failed: ${failure}; nothing was changed`, {
      hint: 'Make sure that the old primary takes no more writes, or correct the command; then run -F999 again. --force=fence continues anyway: if the old primary is alive, two servers take writes then, and what the old one takes is lost.',
    });
  }
  deps.log.warning(`action_fence has failed: ${failure}; continuing anyway (--force=fence)`);
}

export const fenceStepTable = {
  fence: step<RunFence>({
    say: ({ command, limitS, isRepeated }) =>
      `run action_fence${isRepeated ? ' again' : ''}, for at most ${limitS} s: ${command}`,
    run: runFence,
  }),
};

/** The facts after the fence has run, so that it does not run twice. */
export function withFenced<F extends Pick<FailoverFacts, 'fence'>>(facts: F, { isFenced }: FailoverRun): F {
  return { ...facts, fence: { kind: isFenced === true ? 'done' : 'failed' } };
}
