import { sayNotKept } from '../archive/keep/start.ts';
import type { ActionOptions, StandbyDeps } from '../deps.ts';
import { sayTraceOfStop } from '../hand-over/half-stopped.ts';
import { noteHistory } from '../host/history.ts';
import { sayWherePrimaryIsHere } from '../primary/primary-is-here.ts';
import { sayLeftPause } from '../recovery/left-pause.ts';
import { observeStart, planStartStandby, startSteps } from '../recovery/standby-start.ts';
import { findServer } from '../server/find-server.ts';
import { notStartedHere } from '../server/local-server.ts';
import { sayOwnSlot } from '../slot/concerns.ts';
import { noSlot, observeOwnSlot } from '../slot/own-slot.ts';
import { perform } from '../steps/carry-out.ts';

/** `-S`: starts the standby, warm or hot, from the base backup in pgdata. */
export async function startStandby(deps: StandbyDeps, options: ActionOptions): Promise<number> {
  await sayWherePrimaryIsHere(deps);
  const found = await findServer(deps, 'start');
  await sayTraceOfStop(deps, found.directory);
  const { server, directory, postmaster } = found;
  if (postmaster.kind === 'running') sayLeftPause(deps, directory.record);
  const slot = postmaster.kind === 'running' ? noSlot : await observeOwnSlot(server, directory);
  const facts = { ...(await observeStart(found)), slot };
  const steps = planStartStandby(facts);
  const context = { server, started: notStartedHere };
  if (facts.keeping.kind === 'not-kept') sayNotKept(server, facts.keeping.reason);
  sayOwnSlot(deps, slot);
  if (!(await perform(deps, options, steps, startSteps, context))) return 0;
  await noteHistory(deps, { kind: 'standby-started' });
  deps.log.notice('check_pgpid_func()');
  deps.report('Successfully entered standby mode');
  if (facts.isDelayed && facts.streams)
    deps.report(
      'It delays its replay: it streams once it has replayed what the archive holds, and not before',
    );
  return 0;
}
