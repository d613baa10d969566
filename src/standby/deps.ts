import type { StandbySettings } from '../config/options-standby.ts';
import type { WithLocalSql } from '../system/local-sql.ts';
import type { ProgramDeps } from '../system/program-deps.ts';
import type { Force } from './steps/force.ts';

/** All that an action of the standby uses of the world: passed first, so that a test can pass another. */
export interface StandbyDeps extends ProgramDeps {
  readonly settings: StandbySettings;
  /** Absolute path of the file that they come from. */
  readonly iniFile: string;
  readonly withLocalSql: WithLocalSql;
  /**
   * Descriptor of the lock that keeps two changing actions apart; undefined where none was taken. A child that writes into
   * pgdata inherits it, so that the next run waits for it even after our own death; a server that we start never does.
   */
  readonly lockFd: number | undefined;
}

/** Options of the command line beside the action itself. */
export interface ActionOptions {
  readonly dryRun: boolean;
  readonly force: Force;
}

/** Further options of -B, --verify and --backup-info. */
export interface BackupOptions extends ActionOptions {
  /** With -B: check the copy's pages. */
  readonly verify: boolean;
  /** Standard output gets one JSON object and nothing else. */
  readonly json: boolean;
}
