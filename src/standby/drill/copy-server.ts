/** The outside world of the server on a drill's copy: the INI file's settings without all that reaches the site. */
import { join } from 'node:path';
import type { Log } from '../../system/log.ts';
import type { StandbyDeps } from '../deps.ts';
import type { DrillPlace } from './place.ts';

/**
 * The words of another action's steps are for an operator who runs that action.
 *
 * @param where in front of what is said all the same
 */
export function quietLog(log: Log, where: string): Log {
  return {
    debug: (message, facts) => {
      log.debug(message, facts);
    },
    notice: (message, facts) => {
      log.debug(message, facts);
    },
    warning: (message, facts) => {
      log.warning(`${where}: ${message}`, facts);
    },
    error: (message, facts) => {
      log.error(`${where}: ${message}`, facts);
    },
  };
}

/** The keys that a drill sets aside: commands of the site, other hosts, and files outside the copy. */
const setAside = {
  start_command: undefined,
  stop_command: undefined,
  restart_command: undefined,
  promote_command: undefined,
  action_fence: undefined,
  action_failover: undefined,
  notify_ok: undefined,
  notify_warning: undefined,
  notify_critical: undefined,
  pg_conf: undefined,
  pg_hba_conf: undefined,
  pg_conf_failover: undefined,
  pg_hba_conf_failover: undefined,
  no_copy_conf: false,
  trigger_file: undefined,
  local_port: undefined,
  pg_archivecleanup: undefined,
  use_streaming_replication: false,
  use_slot: false,
  keep_streamed_max: 0,
  recovery_min_apply_delay: undefined,
  archiver_ini: undefined,
} as const;

/** @param parameters those of every start of its server */
export function depsOfCopy(
  deps: StandbyDeps,
  { pgdata, archive, log }: DrillPlace,
  parameters: ReadonlyMap<string, string>,
): StandbyDeps {
  return {
    ...deps,
    log: quietLog(deps.log, 'on the copy'),
    report: (line) => {
      deps.log.debug(line);
    },
    lockFd: undefined,
    calledAs: '--drill',
    drillParameters: parameters,
    settings: {
      ...deps.settings,
      ...setAside,
      pgdata,
      archivedir: archive,
      logfile: log,
      recovery_conf: join(pgdata, 'recovery.conf'),
      tablespaces: new Map(),
    },
  };
}
