import type { StandbySettings } from '../config/options-standby.ts';
import type { WithLocalSql } from '../system/local-sql.ts';
import type { ProgramDeps } from '../system/program-deps.ts';
import type { RequestedTarget } from './recovery/requested-target.ts';
import type { Force } from './steps/force.ts';

/**
 * All parts of the outside world that an action of the standby uses. It is the first argument, and a test can pass
 * another one.
 */
export interface StandbyDeps extends ProgramDeps {
  readonly settings: StandbySettings;
  /** Absolute path of the INI file with these settings. */
  readonly iniFile: string;
  readonly withLocalSql: WithLocalSql;
  /**
   * Descriptor of the lock that excludes other changing actions; undefined if none was taken. A child that writes into
   * pgdata inherits it, so that the next run waits for it even after our own death. A server that we start never
   * inherits it.
   */
  readonly lockFd: number | undefined;
  /**
   * The server is one of a drill, on a copy: every start gives it these parameters, which no file can override, and its
   * restore_command notifies nobody.
   */
  readonly drillParameters?: ReadonlyMap<string, string>;
  /** The action that was called, where it takes the steps of another one: hints name it. */
  readonly calledAs?: '--switchover' | '--drill';
}

/** The action that promotes, as it was called; undefined if that is not known: then it is a failover. */
export function promotingAction({
  calledAs,
}: Pick<StandbyDeps, 'calledAs'>): '-F999' | '--switchover' | '--drill' {
  return calledAs ?? '-F999';
}

/** A drill recovers its copy without questions: a failover's hints about --force do not apply to it. */
export function takesForce({ calledAs }: Pick<StandbyDeps, 'calledAs'>): boolean {
  return calledAs !== '--drill';
}

/** The options of the command line beside the action itself. */
export interface ActionOptions {
  readonly dryRun: boolean;
  readonly force: Force;
}

/** Additional options of -F999. */
export interface FailoverOptions extends ActionOptions {
  /** Declare the old timeline left, and inform the other standbys, although the primary was not found dead. */
  readonly takeRole: boolean;
}

/** Additional options of --switchover. */
export interface SwitchoverOptions extends ActionOptions {
  /** Seconds that transactions of the primary have to come to an end by themselves. */
  readonly graceS: number;
}

/** Additional options of -B, --verify and --backup-info. */
export interface BackupOptions extends ActionOptions {
  /** With -B: check the copy's pages. */
  readonly verify: boolean;
  /** Standard output gets one JSON object and nothing else. */
  readonly json: boolean;
}

/** Additional options of --drill. */
export interface DrillOptions extends ActionOptions {
  readonly json: boolean;
  /** Check all tables and indexes of the copy by pg_amcheck. */
  readonly deep: boolean;
  /** Recover a new base backup of the primary, not a copy of the standby. */
  readonly fromBackup: boolean;
  /** Undefined to replay all WAL. */
  readonly target: RequestedTarget | undefined;
}
