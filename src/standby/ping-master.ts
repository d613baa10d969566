import { join } from 'node:path';
import { exitCodes, messageOf } from '../errors.ts';
import { readIfExists, writeDurably } from '../system/durable.ts';
import { isNotificationDue, notify, type SaidState, type Severity } from '../system/notify.ts';
import type { ActionOptions, StandbyDeps } from './deps.ts';
import { primaryPgdata } from './failover.ts';
import { describeLiveness, probePrimary, type Liveness } from './liveness.ts';

const stateName = '.cmd_standby.json';

interface State {
  readonly ping?: SaidState;
}

function statePath(deps: Pick<StandbyDeps, 'settings'>): string {
  return join(deps.settings.archivedir, stateName);
}

/** What cannot be read counts as nothing said: one notification too many is better than none. */
async function readState(deps: StandbyDeps): Promise<State> {
  try {
    const content = await readIfExists(statePath(deps));
    return content === undefined ? {} : (JSON.parse(content.toString('utf8')) as State);
  } catch (error) {
    deps.log.debug(`no state of earlier calls: ${messageOf(error)}`);
    return {};
  }
}

async function notifyOfChange(deps: StandbyDeps, liveness: Liveness): Promise<void> {
  const severity: Severity = liveness.kind === 'alive' ? 'ok' : 'critical';
  const nowS = Math.floor(deps.now() / 1000);
  const state = await readState(deps);
  if (!isNotificationDue(state.ping, severity, nowS, deps.settings.notify_reminder)) return;
  const facts = {
    program: 'cmd_standby',
    standby: deps.hostName,
    primary: deps.settings.master_public_ip,
    liveness: liveness.kind,
  };
  await notify(deps, deps.settings, { severity, message: describeLiveness(liveness), facts });
  const said: SaidState = { severity, lastNotified: nowS };
  await writeDurably(statePath(deps), `${JSON.stringify({ ...state, ping: said }, null, 2)}\n`).catch(
    (error: unknown) => {
      deps.log.warning(`cannot remember what was notified: ${messageOf(error)}`);
    },
  );
}

/** `-P`: is the primary alive? The exit status tells. */
export async function pingMaster(deps: StandbyDeps, options: ActionOptions): Promise<number> {
  const liveness = await probePrimary(deps, await primaryPgdata(deps));
  if (!options.dryRun) await notifyOfChange(deps, liveness);
  deps.report(describeLiveness(liveness));
  return liveness.kind === 'alive' ? 0 : exitCodes.failure;
}
