import { join } from 'node:path';
import { messageOf } from '../../errors.ts';
import { is } from '../../system/json.ts';
import { readNotified } from '../../system/notified.ts';
import { isNotificationDue, notify, saidFields, type SaidState, type Severity } from '../../system/notify.ts';
import { replaceDurably } from '../../system/replaceable.ts';
import { keepStreamedWalAside } from '../archive/keep/keep.ts';
import type { ActionOptions, StandbyDeps } from '../deps.ts';
import { lookAtPrimary } from '../primary/liveness/liveness.ts';
import {
  describeWatched,
  judgeWatched,
  sendsWal,
  type Watched,
  watchedExitCodes,
} from '../primary/liveness/watched.ts';
import { endLeftPause } from '../recovery/left-pause.ts';
import { findDataDirectory } from '../server/progress.ts';
import { visitOwnSlot } from '../slot/concerns.ts';

const stateName = '.cmd_standby.json';

const stateFields = { ping: is.optional(is.object(saidFields)) };

function statePath(deps: Pick<StandbyDeps, 'settings'>): string {
  return join(deps.settings.archivedir, stateName);
}

async function notifyOfChange(deps: StandbyDeps, watched: Watched, message: string): Promise<void> {
  const severity: Severity = watched === 'alive' ? 'ok' : 'critical';
  const nowS = Math.floor(deps.now() / 1000);
  const state = await readNotified(deps.log, statePath(deps), stateFields);
  if (!isNotificationDue(state?.ping, severity, nowS, deps.settings.notify_reminder)) return;
  const facts = {
    program: 'cmd_standby' as const,
    standby: deps.hostName,
    primary: deps.settings.master_public_ip,
    liveness: watched,
  };
  const about = deps.settings.master_public_ip;
  notify(deps, deps.settings, { severity, name: 'primary', about, message, facts });
  const said: SaidState = { severity, lastNotified: nowS };
  await replaceDurably(statePath(deps), `${JSON.stringify({ ...state, ping: said }, null, 2)}\n`).catch(
    (error: unknown) => {
      deps.log.warning(`cannot remember what was notified: ${messageOf(error)}`);
    },
  );
}

/** `-P`: reports what is in the primary's place, also by the exit status. */
export async function pingMaster(deps: StandbyDeps, options: ActionOptions): Promise<number> {
  const look = await lookAtPrimary(deps, true);
  const { liveness } = look;
  const watched = judgeWatched(look);
  const message = describeWatched(watched, look);
  if (!options.dryRun) await notifyOfChange(deps, watched, message);
  deps.report(message);
  if (!options.dryRun) {
    await keepStreamedWalAside(deps);
    await endLeftPause(deps);
    const directory = sendsWal(watched) && deps.settings.use_slot ? await findDataDirectory(deps) : undefined;
    if (directory !== undefined) await visitOwnSlot(deps, directory);
  }
  if (liveness.kind === 'dead') for (const warning of liveness.warnings) deps.report(warning);
  return watchedExitCodes[watched];
}
