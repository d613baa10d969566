/** The role of this host's server, in one word. Pure. */
import { noStandbyObjections } from '../recovery/no-standby.ts';
import type { DataDirectory } from '../server/data-directory.ts';
import type { ServerState } from '../server/server-state.ts';

export type Mode =
  /** pgdata holds no cluster. */
  | 'no data'
  /** A base backup was begun and has not been completed. */
  | 'incomplete'
  /** A base backup on which no server was started yet: WAL is only collected. */
  | 'cold'
  /** A standby whose server does not run. */
  | 'stopped standby'
  /** Any other server that does not run. */
  | 'stopped'
  | 'starting'
  /** It replays, and answers no queries. */
  | 'warm standby'
  | 'hot standby'
  /** To a recovery target. */
  | 'recovery'
  | 'primary';

export function modeOf(directory: DataDirectory | undefined, state: ServerState): Mode {
  if (directory === undefined) return 'no data';
  if (directory.isIncomplete) return 'incomplete';
  switch (state.kind) {
    case 'production':
      return 'primary';
    case 'starting':
      return 'starting';
    case 'recovering':
      if (directory.record.settings?.mode === 'recovery') return 'recovery';
      return state.answers ? 'hot standby' : 'warm standby';
    case 'stopped':
      if (directory.backupLabel !== undefined) return 'cold';
      return noStandbyObjections(directory).length === 0 ? 'stopped standby' : 'stopped';
  }
}

/** Whether a failover would make it the primary. */
export function isStandby(mode: Mode): boolean {
  return ['cold', 'stopped standby', 'warm standby', 'hot standby'].includes(mode);
}

/** Whether its server replays WAL as it comes. */
export function replays(mode: Mode): boolean {
  return mode === 'warm standby' || mode === 'hot standby';
}
