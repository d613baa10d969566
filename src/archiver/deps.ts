import type { ArchiverSettings } from '../config/options-archiver.ts';
import type { StartHook } from '../system/hook.ts';
import type { ProgramDeps } from '../system/program-deps.ts';
import type { Layout } from './layout.ts';

/** All that an action of the archiver uses of the world: passed first, so that a test can pass another. */
export interface ArchiverDeps extends ProgramDeps {
  readonly settings: ArchiverSettings;
  /** Of l_archivedir, which no change of the INI file changes while a program runs. */
  readonly layout: Layout;
  /** Another way of starting notify commands than the usual one. */
  readonly startHook?: StartHook;
  readonly pid: number;
  /** PostgreSQL's data directory, when it is PostgreSQL that called. */
  readonly workingDirectory: string;
}

/** What the command line asks for beside the action itself. */
export interface ActionOptions {
  readonly dryRun: boolean;
}
