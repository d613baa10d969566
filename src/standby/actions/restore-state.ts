import { notify } from '../../system/notify.ts';
import type { StandbyDeps } from '../deps.ts';

/**
 * Notifies the operator for our restore_command. It asks for this once when the archive cannot be used any more, and
 * once when it can again: `bin/cmd_standby` remembers in pgdata what it said last.
 *
 * @param trouble undefined once all is well again
 */
export function tellRestoreState(deps: StandbyDeps, trouble: string | undefined): number {
  const { archivedir } = deps.settings;
  const facts = { program: 'cmd_standby', standby: deps.hostName, archivedir };
  notify(
    deps,
    deps.settings,
    trouble === undefined
      ? { severity: 'ok', message: `the standby can restore from ${archivedir} again`, facts }
      : { severity: 'critical', message: `the standby cannot restore WAL: ${trouble}`, facts },
  );
  return 0;
}
