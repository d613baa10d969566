/** Changes of this host that were begun, and that their run has not finished: the record of pgdata shows them. */
import { join } from 'node:path';
import { exists } from '../../system/durable.ts';
import { quoted } from '../../system/printable.ts';
import { traceOfStop } from '../hand-over/half-stopped.ts';
import { stillUnderWay } from '../recovery/promotion.ts';
import { hasUnfinishedFailover } from '../recovery/unfinished-failover.ts';
import { type DataDirectory, rewindingName } from '../server/data-directory.ts';
import type { ServerState } from '../server/server-state.ts';
import type { StatusDeps } from './view.ts';

export interface Unfinished {
  /** A recovery that pauses at its target waits for its operator on purpose. */
  readonly level: 'warning' | 'critical';
  readonly message: string;
  /** A sentence. */
  readonly hint: string;
}

function isFailoverUnfinished(directory: DataDirectory): boolean {
  const { isFailoverUnfinished: isBegun, isActionBegun } = directory.record;
  return isBegun === true || isActionBegun === true || hasUnfinishedFailover(directory);
}

function ofRoles(directory: DataDirectory, command: string): Unfinished[] {
  const { record } = directory;
  if (record.switchover !== undefined)
    return [
      {
        level: 'critical',
        message: `a switchover with ${quoted(record.switchover.primary, 80)} was begun and is not finished`,
        hint: `Finish it: ${command} --switchover`,
      },
    ];
  if (stillUnderWay(record.promotion) !== undefined)
    return [
      {
        level: 'critical',
        message: 'the server here is being promoted',
        hint: `Wait for it; if that run was interrupted: ${command} -F999`,
      },
    ];
  if (!isFailoverUnfinished(directory)) return [];
  return [
    {
      level: 'critical',
      message: 'a failover was begun and is not finished',
      hint: `Finish it: ${command} -F999`,
    },
  ];
}

function ofRecovery({ record }: DataDirectory, state: ServerState, command: string): Unfinished[] {
  const mode = record.settings?.mode;
  if (mode === 'held')
    return [
      {
        level: 'critical',
        message: 'a recovery was interrupted and is on hold: no server starts here',
        hint: `Recover again by -F999 with a target, or make it a standby: ${command} -S`,
      },
    ];
  if (mode !== 'recovery' || state.kind === 'production') return [];
  const what = state.kind === 'stopped' ? ', and its server is stopped' : '';
  return [
    {
      level: 'warning',
      message: `a recovery to a target is not finished${what}`,
      hint: `Continue: ${command} ${state.kind === 'stopped' ? '-A start' : '-F999, once it has paused at the target'}`,
    },
  ];
}

/** @param command `cmd_standby -C FILE`, to be typed */
export async function observeUnfinished(
  deps: Pick<StatusDeps, 'iniFile'>,
  directory: DataDirectory,
  state: ServerState,
  command: string,
): Promise<readonly Unfinished[]> {
  if (await exists(join(directory.pgdata, rewindingName)))
    return [
      {
        level: 'critical',
        message: 'pg_rewind was interrupted: no server starts here',
        hint: `Run it again: ${command} --rejoin HOST`,
      },
    ];
  if (directory.isIncomplete)
    return [
      {
        level: 'critical',
        message: 'a base backup was begun and is not complete',
        hint: `Run it again: ${command} -B`,
      },
    ];
  const stop = traceOfStop(deps, directory, state);
  return [
    ...(stop === undefined
      ? []
      : [{ level: 'critical' as const, message: stop.message, hint: `${stop.hint}.` }]),
    ...ofRoles(directory, command),
    ...ofRecovery(directory, state, command),
  ];
}
