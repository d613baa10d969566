import { PitrError } from '../../../errors.ts';
import { type CommandLine, describeResult, succeeded } from '../../../system/command.ts';
import type { StandbyDeps } from '../../deps.ts';
import type { Primary } from '../../primary/primary.ts';
import type { TakeConnection } from './copy/connections.ts';
import type { BackupFacts } from './facts.ts';
import type { OnBackupEvent } from './progress/events.ts';

/** The world of a base backup: what was true before it began, and what its steps work with. */
export interface BackupContext {
  readonly deps: StandbyDeps;
  readonly primary: Primary;
  readonly facts: BackupFacts;
  readonly onEvent: OnBackupEvent;
  readonly takeConnection?: TakeConnection;
}

/** A fact without which no plan holds the step that asks for it: that it is missing is a bug. */
export function needed<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`a base backup was planned without ${what}`);
  return value;
}

/** Throws the signal's reason instead of what a command said that was ended by the signal. */
export function failure(deps: StandbyDeps, error: PitrError): PitrError {
  return deps.signal.aborted && deps.signal.reason instanceof PitrError ? deps.signal.reason : error;
}

/** Runs a program over the copy, within the limit of the whole backup. */
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
