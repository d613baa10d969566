import { PitrError } from '../../../errors.ts';
import { type CommandLine, describeResult, succeeded } from '../../../system/command.ts';
import type { StandbyDeps } from '../../deps.ts';
import type { Primary } from '../../primary/primary.ts';
import type { TakeConnection } from './copy/connections.ts';
import type { BackupFacts } from './facts.ts';
import type { OnBackupEvent } from './progress/events.ts';

/** The parts that every step of a base backup works with, and the facts from before it began. */
export interface BackupContext {
  readonly deps: StandbyDeps;
  readonly primary: Primary;
  readonly facts: BackupFacts;
  readonly onEvent: OnBackupEvent;
  readonly takeConnection?: TakeConnection;
}

/** A fact that the plan guarantees for the step that asks for it: if it is missing, that is a bug. */
export function needed<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`a base backup was planned without ${what}`);
  return value;
}

/** Throws the reason of the signal if a signal ended the command, otherwise the command's own error. */
export function failure(deps: StandbyDeps, error: PitrError): PitrError {
  return deps.signal.aborted && deps.signal.reason instanceof PitrError ? deps.signal.reason : error;
}

/** Runs a program that works on the copy, within the time limit of the whole backup. */
export async function runOnCopy(
  deps: StandbyDeps,
  command: CommandLine,
  failed: string,
  signal = deps.signal,
): Promise<void> {
  const result = await deps.run(command, { limitMs: deps.settings.base_backup_timeout * 1000, signal });
  if (succeeded(result)) return;
  throw failure(deps, new PitrError(`${failed}: ${command.program}: ${describeResult(result)}`));
}
