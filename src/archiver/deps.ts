import type { ArchiverSettings } from '../config/options-archiver.ts';
import type { StartHook } from '../system/hook.ts';
import type { ProgramDeps } from '../system/program-deps.ts';
import type { Layout } from './layout.ts';

/**
 * All parts of the outside world that an action of the archiver uses. It is the first argument, and a test can pass
 * another one.
 */
export interface ArchiverDeps extends ProgramDeps {
  readonly settings: ArchiverSettings;
  /** The layout of l_archivedir. It stays the same while a program runs, even if the INI file changes. */
  readonly layout: Layout;
  /** The path of the INI file; unknown to some tests. */
  readonly iniFile?: string | undefined;
  /** Another way to start notify commands than the usual one. */
  readonly startHook?: StartHook;
  readonly pid: number;
  /** PostgreSQL's data directory, if PostgreSQL called. */
  readonly workingDirectory: string;
}

/** The options of the command line beside the action itself. */
export interface ActionOptions {
  readonly dryRun: boolean;
}
