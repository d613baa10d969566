import { PitrError } from '../../../../errors.ts';
import { quoted } from '../../../../system/printable.ts';
import type { StandbyDeps, SwitchoverOptions } from '../../../deps.ts';
import { readRecord } from '../../../host/backup-record/record.ts';
import { type Peer, publicName, withPeer } from '../../../peers/peer.ts';
import { observeServer } from '../../../server/server-state.ts';
import { perform } from '../../../steps/carry-out.ts';
import { sayOverruled } from '../../../steps/objections.ts';
import { finishHint } from '../finishing-steps.ts';
import { sayLogin } from '../local-login.ts';
import { observeSwitchover, type SwitchoverFacts } from './facts.ts';
import { isStoppedForUs, listSwitchoverObjections } from './objections.ts';
import { planSwitchover } from './plan.ts';
import { listRemarks } from './remarks.ts';
import { reportSwitchover } from './report.ts';
import { resumeByHand } from './resume.ts';
import { newSwitchoverRun, type SwitchoverRun } from './run.ts';
import { type SwitchoverStep, switchoverSteps } from './steps.ts';

function sayBegun({ log }: StandbyDeps, { before, begun, peer }: SwitchoverFacts): void {
  if (before === undefined) {
    if (begun !== undefined)
      log.notice('the server here is out of recovery already: only the steps after the promotion remain');
    return;
  }
  if (isStoppedForUs(before))
    log.notice(`an earlier run has stopped the primary on ${peer.host}: this one finishes what it began`);
}

/** Said also where this run is refused: until the stop is taken back, the next start of the primary would be a standby's. */
function sayInterruptedStop({ log }: StandbyDeps, { before, peer }: SwitchoverFacts): void {
  const { server, stoppedFor } = before?.primary ?? {};
  if (server !== 'production' || stoppedFor === undefined) return;
  log.warning(
    `the primary on ${peer.host} was to be stopped for a switchover to ${quoted(stoppedFor, 80)}, and was not: its next start would be that of a standby`,
    {
      hint: `A run of --switchover takes that back before it stops the primary anew. cmd_standby -C FILE on ${peer.host} says how to take it back by hand.`,
    },
  );
}

/** The server here was asked to open, and may still do so. */
async function wayBack(run: SwitchoverRun): Promise<string | undefined> {
  const { server, peer, systemIdentifier, token, facts } = run;
  if (facts === undefined || (await observeServer(server)).kind !== 'recovering') return undefined;
  const byHand = resumeByHand(peer, systemIdentifier, { timeline: facts.timeline, token });
  return `The server here is still in recovery, and may open at any moment: stop it before anything else if the old primary is to be the primary again (-A stop). ${byHand}`;
}

/** Once this host's server may be open, a failure must not read as if nothing had happened. */
async function afterPromotion(error: unknown, run: SwitchoverRun): Promise<unknown> {
  if (run.opening === 'not begun' || !(error instanceof PitrError)) return error;
  const { message, detail, hint } = error;
  const what = message.replace(/^the failover has happened, but was not finished: /, '');
  const hints = [
    'Correct that, then run --switchover again: it finishes what is left.',
    hint === finishHint(run.server.deps) ? undefined : hint,
    await wayBack(run),
  ];
  return new PitrError(`the switchover has gone too far to be taken back, and is not finished: ${what}`, {
    detail,
    hint: hints.filter((text) => text !== undefined).join(' '),
    cause: error,
  });
}

/** A refusal changes nothing: the old primary stays as an earlier run has left it. */
function refusedLater(error: unknown, facts: SwitchoverFacts): unknown {
  const { before, begun, isOpening, peer, systemIdentifier } = facts;
  const token = begun?.token;
  if (!(error instanceof PitrError) || before === undefined || !isStoppedForUs(before)) return error;
  if (isOpening || token === undefined) return error;
  const byHand = resumeByHand(peer, systemIdentifier, { timeline: before.primary.timeline, token });
  const { message, detail, hint, exitCode } = error;
  return new PitrError(message, {
    detail,
    hint: [hint, `An earlier run has stopped the primary: no server takes writes. ${byHand}`]
      .filter(Boolean)
      .join(' '),
    exitCode,
    cause: error,
  });
}

function plan(facts: SwitchoverFacts): readonly SwitchoverStep[] {
  try {
    return planSwitchover(facts);
  } catch (error) {
    throw refusedLater(error, facts);
  }
}

async function switchRoles(deps: StandbyDeps, options: SwitchoverOptions, peer: Peer): Promise<number> {
  const facts = await observeSwitchover(deps, peer, options);
  sayInterruptedStop(deps, facts);
  const steps = plan(facts);
  sayOverruled(deps, listSwitchoverObjections(facts), options.force);
  sayBegun(deps, facts);
  if (facts.before !== undefined) sayLogin(deps, facts.failover.login);
  for (const { message, hint } of listRemarks(facts)) deps.log.warning(message, { hint });
  const run = newSwitchoverRun(deps, facts, publicName(deps));
  try {
    if (!(await perform(deps, options, steps, switchoverSteps, run))) return 0;
  } catch (error) {
    throw await afterPromotion(error, run);
  }
  return reportSwitchover(run);
}

/** `--switchover`: changes roles with a living primary, which becomes a standby of this host. */
export async function switchover(given: StandbyDeps, options: SwitchoverOptions): Promise<number> {
  const deps: StandbyDeps = { ...given, calledAs: '--switchover' };
  const { pgdata, master_public_ip } = deps.settings;
  const begun = (await readRecord(pgdata)).switchover;
  return withPeer(deps, begun?.primary ?? master_public_ip, (peer) => switchRoles(deps, options, peer));
}
