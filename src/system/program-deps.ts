import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { type Clock, systemClock } from './clock.ts';
import { type RunCommand, runCommand, type StartSession, startSession } from './command.ts';
import type { Log } from './log.ts';
import { printable } from './printable.ts';
import { type WithRemoteShell, withRemoteShell } from './ssh.ts';

/** The parts of the outside world that an action of either program uses. */
export interface ProgramDeps extends Clock {
  readonly run: RunCommand;
  readonly startSession: StartSession;
  readonly withRemoteShell: WithRemoteShell;
  readonly log: Log;
  /** One line of the report for people, on standard output. */
  readonly report: (line: string) => void;
  readonly hostName: string;
  /** Random hexadecimal text that no other run has. */
  readonly nonce: () => string;
  /** Aborted when the program must stop. */
  readonly signal: AbortSignal;
}

export function programDeps(log: Log, signal: AbortSignal): ProgramDeps {
  return {
    run: runCommand,
    startSession,
    withRemoteShell,
    log,
    report: (line) => process.stdout.write(`${printable(line)}\n`),
    ...systemClock(signal),
    hostName: hostname(),
    nonce: () => randomBytes(8).toString('hex'),
    signal,
  };
}
