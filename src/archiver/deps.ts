import type { ArchiverSettings } from '../config/options-archiver.ts';
import type { Clock } from '../system/clock.ts';
import type { RunCommand, StartSession } from '../system/command.ts';
import type { StartHook } from '../system/hook.ts';
import type { Log } from '../system/log.ts';
import type { WithRemoteShell } from '../system/ssh.ts';
import type { Layout } from './layout.ts';

/** All that an action of the archiver uses of the world: passed first, so that a test can pass another. */
export interface ArchiverDeps extends Clock {
  readonly settings: ArchiverSettings;
  /** Of l_archivedir, which no change of the INI file changes while a program runs. */
  readonly layout: Layout;
  readonly run: RunCommand;
  readonly startSession: StartSession;
  readonly withRemoteShell: WithRemoteShell;
  /** Another way of starting notify commands than the usual one. */
  readonly startHook?: StartHook;
  readonly log: Log;
  /** One line of the report for people, on standard output. */
  readonly report: (line: string) => void;
  readonly pid: number;
  readonly hostName: string;
  /** PostgreSQL's data directory, when it is PostgreSQL that called. */
  readonly workingDirectory: string;
  /** Random hexadecimal text that no other run has. */
  readonly nonce: () => string;
  /** Aborted when the program is told to stop. */
  readonly signal: AbortSignal;
}

/** What the command line asks for beside the action itself. */
export interface ActionOptions {
  readonly dryRun: boolean;
}
