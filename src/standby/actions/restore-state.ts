import { notify } from '../../system/notify.ts';
import type { StandbyDeps } from '../deps.ts';

/**
 * Notifies the operator on behalf of our restore_command. `bin/cmd_standby` requests this once when the archive cannot
 * be used, and once when it can be used again: it records in pgdata what it reported last.
 *
 * @param trouble undefined once the archive can be used again
 */
export function tellRestoreState(deps: StandbyDeps, trouble: string | undefined): number {
  const { archivedir } = deps.settings;
  const facts = { program: 'cmd_standby' as const, standby: deps.hostName, archivedir };
  notify(deps, deps.settings, {
    severity: trouble === undefined ? 'ok' : 'critical',
    name: 'archive',
    about: archivedir,
    message:
      trouble === undefined
        ? `the standby can restore from ${archivedir} again`
        : `the standby cannot restore WAL: ${trouble}`,
    facts,
  });
  return 0;
}
