/**
 * The recovery settings of a standby, of a recovery to a target, and of a recovery to the end of the WAL, as each
 * PostgreSQL release needs them. Pure: `recovery/files.ts` writes them to disk.
 */
import type { Capabilities } from '../../postgres/capabilities.ts';
import { formatLsn } from '../../postgres/lsn.ts';
import { doublePercent, settingLine } from '../../postgres/quoting.ts';
import type { RecoveryGoal, RecoveryTargetSettings } from '../../postgres/recovery-target.ts';
import { formatUtc } from '../../postgres/timestamp.ts';
import type { CommandLine } from '../../system/command.ts';

export type RecoveryMode =
  /** `delay`: what the INI file sets for a delayed standby. */
  | {
      readonly kind: 'standby';
      readonly streaming: Streaming | undefined;
      readonly delay?: string | undefined;
    }
  /** Plain archive recovery, which opens at the end of the WAL. Releases without `pg_ctl promote` use it for a failover. */
  | { readonly kind: 'to-end' }
  | { readonly kind: 'to-target'; readonly target: RecoveryTargetSettings }
  /** No recovery at all: the server does not start. */
  | { readonly kind: 'hold' };

export interface Streaming {
  /** How the standby reaches its primary. */
  readonly conninfo: string;
  /** The replication slot there; undefined if it streams without one. */
  readonly slot?: string | undefined;
  readonly triggerFile: string | undefined;
}

/** Names of this host that the settings contain. */
export interface RecoveryPlace {
  /** Path of our `bin/cmd_standby`. */
  readonly launcher: string;
  readonly archivedir: string;
  /** For the notification when a standby cannot restore; undefined if nobody is to be notified. */
  readonly iniFile: string | undefined;
  /** Only for 8.4. */
  readonly pgStandby: CommandLine | undefined;
  readonly pgArchivecleanup: CommandLine | undefined;
  /** Whether a slot keeps streamed WAL here, which each restartpoint is an occasion to advance. */
  readonly keepsStreamed: boolean;
  /** Whether the user's own configuration sets `archive_cleanup_command`. */
  readonly ownCleanup: boolean;
  /** Whether the user's own configuration sets `wal_retrieve_retry_interval`. */
  readonly ownRetryInterval: boolean;
  /** Whether the user's own configuration sets `recovery_min_apply_delay`. */
  readonly ownDelay: boolean;
  /** Recovery targets in the server's own configuration; from 12 on they would have an effect. */
  readonly ownTargets: readonly string[];
}

export interface RecoverySettings {
  /** For `recovery.conf`; empty from 12 on. */
  readonly recoveryConf: ReadonlyMap<string, string>;
  /** For `postgresql.auto.conf`. */
  readonly parameters: ReadonlyMap<string, string>;
  /** Only from 12 on. The other signal file must not exist. */
  readonly signal: 'standby.signal' | 'recovery.signal' | undefined;
}

export const delayParameter = 'recovery_min_apply_delay';

/** With the default of 5 s, the server would look for an archived segment that late. */
const retryInterval = '500ms';

/**
 * Quotes a word for the shell that the server starts. It uses double quotes, because in 8.4 a setting cannot contain a
 * single one.
 */
function shellWord(word: string): string {
  return `"${doublePercent(word.replaceAll(/[\\"$`]/g, '\\$&'))}"`;
}

function shellWords(command: CommandLine): string {
  return [command.program, ...command.args].map(shellWord).join(' ');
}

/**
 * The mode determines the answer to a problem. A standby asks again; a recovery that opens at the end must not mistake
 * a problem for the end (manual, section "Recovering Using a Continuous Archive Backup").
 */
function restoreCommand(place: RecoveryPlace, mode: 'standby' | 'target' | 'must-reach' | 'hold'): string {
  const { launcher, archivedir, iniFile } = place;
  const tell = mode === 'standby' && iniFile !== undefined ? ` ${shellWord(iniFile)}` : '';
  return `${shellWord(launcher)} --restore ${mode} ${shellWord(archivedir)} "%f" "%p"${tell}`;
}

/** 8.4 waits inside the restore_command, which looks for the next segment once per second. */
function waitingRestoreCommand(pgStandby: CommandLine, archivedir: string): string {
  return `${shellWords(pgStandby)} -s1 -c ${shellWord(archivedir)} "%f" "%p" "%r"`;
}

/**
 * The server runs it at each restartpoint, after it has removed WAL. Where a slot keeps WAL that the archive lacks, our
 * launcher advances the slot first: pg_archivecleanup alone would remove what proves that WAL has arrived.
 */
function cleanupCommand(
  { hasArchiveCleanupCommand }: Capabilities,
  { pgArchivecleanup: program, archivedir, launcher, iniFile, keepsStreamed, ownCleanup }: RecoveryPlace,
): string | undefined {
  if (!hasArchiveCleanupCommand) return undefined;
  const cleanup = program === undefined ? undefined : `${shellWords(program)} ${shellWord(archivedir)}`;
  if (keepsStreamed && iniFile !== undefined && !(cleanup === undefined && ownCleanup)) {
    const ours = `${shellWord(launcher)} --restartpoint ${shellWord(iniFile)} "%r"`;
    return cleanup === undefined ? ours : `${ours} ${cleanup}`;
  }
  return cleanup === undefined ? undefined : `${cleanup} "%r"`;
}

function standbySettings(
  capabilities: Capabilities,
  { streaming, delay }: Extract<RecoveryMode, { kind: 'standby' }>,
  place: RecoveryPlace,
): Map<string, string> {
  const settings = new Map<string, string>();
  if (!capabilities.standbyMode && place.pgStandby !== undefined)
    return settings.set('restore_command', waitingRestoreCommand(place.pgStandby, place.archivedir));
  if (capabilities.recoveryConf === 'recovery.conf') settings.set('standby_mode', 'on');
  settings.set('restore_command', restoreCommand(place, 'standby'));
  const cleanup = cleanupCommand(capabilities, place);
  if (cleanup !== undefined) settings.set('archive_cleanup_command', cleanup);
  if (delay !== undefined) settings.set(delayParameter, delay);
  if (streaming === undefined) return settings;
  settings.set('primary_conninfo', streaming.conninfo);
  if (streaming.slot !== undefined) settings.set('primary_slot_name', streaming.slot);
  if (capabilities.triggerFile !== undefined && streaming.triggerFile !== undefined)
    settings.set(capabilities.triggerFile, streaming.triggerFile);
  return settings;
}

function goalSetting(goal: RecoveryGoal): [string, string] {
  switch (goal.kind) {
    case 'time':
      return ['recovery_target_time', formatUtc(goal.micros)];
    case 'xid':
      return ['recovery_target_xid', String(goal.xid)];
    case 'lsn':
      return ['recovery_target_lsn', formatLsn(goal.lsn)];
    case 'name':
      return ['recovery_target_name', goal.name];
    case 'immediate':
      return ['recovery_target', 'immediate'];
  }
}

/**
 * Up to 12 a plain archive recovery opens at the end of the WAL as if that were its target. A recovery in standby mode
 * does not: it stops at the target as well, and at the end of the WAL our restore_command ends the server.
 */
function recoversInStandbyMode({ unreachedTargetIsFatal, standbyMode }: Capabilities): boolean {
  return standbyMode && !unreachedTargetIsFatal;
}

function targetSettings(
  capabilities: Capabilities,
  { goal, exclusive, action, timeline }: RecoveryTargetSettings,
  place: RecoveryPlace,
) {
  const { targetAction } = capabilities;
  const standsBy = recoversInStandbyMode(capabilities);
  const settings = new Map<string, string>();
  if (standsBy && capabilities.recoveryConf === 'recovery.conf') settings.set('standby_mode', 'on');
  settings.set(
    'restore_command',
    restoreCommand(place, capabilities.unreachedTargetIsFatal ? 'target' : 'must-reach'),
  );
  // The recovery must end where the archive ends. It must not continue with WAL from a primary that is still alive.
  if (standsBy && capabilities.recoveryConf === 'signal-files') settings.set('primary_conninfo', '');
  // A delayed standby would wait at each commit on the way to its target.
  if (place.ownDelay) settings.set(delayParameter, '0');
  settings.set(...goalSetting(goal));
  // Set even if the value is the default, because the user's own configuration may set another one.
  if (goal.kind !== 'name' && goal.kind !== 'immediate')
    settings.set('recovery_target_inclusive', String(!exclusive));
  if (targetAction === 'recovery_target_action') settings.set(targetAction, action);
  if (targetAction === 'pause_at_recovery_target') settings.set(targetAction, String(action === 'pause'));
  if (timeline !== 'current' || !capabilities.currentTimelineMustBeLeftOut)
    settings.set('recovery_target_timeline', String(timeline));
  return settings;
}

function settingsOf(capabilities: Capabilities, mode: RecoveryMode, place: RecoveryPlace) {
  switch (mode.kind) {
    case 'standby':
      return standbySettings(capabilities, mode, place);
    case 'to-end':
      return new Map([['restore_command', restoreCommand(place, 'target')]]);
    case 'hold':
      return new Map([['restore_command', restoreCommand(place, 'hold')]]);
    case 'to-target':
      return targetSettings(capabilities, mode.target, place);
  }
}

/** A target in the server's own configuration would stop this recovery, or prevent its start. */
function withoutTargets({ ownTargets }: RecoveryPlace): [string, string][] {
  return ownTargets.map((name) => [name, name === 'recovery_target_timeline' ? 'latest' : '']);
}

export function recoverySettings(
  capabilities: Capabilities,
  mode: RecoveryMode,
  place: RecoveryPlace,
): RecoverySettings {
  const settings = settingsOf(capabilities, mode, place);
  if (mode.kind !== 'to-target' && capabilities.timelineLatestMustBeWritten)
    settings.set('recovery_target_timeline', 'latest');
  const waits = mode.kind === 'standby' && capabilities.hasWalRetrieveRetryInterval;
  const retry: [string, string][] =
    waits && !place.ownRetryInterval ? [['wal_retrieve_retry_interval', retryInterval]] : [];
  if (capabilities.recoveryConf === 'recovery.conf')
    return { recoveryConf: settings, parameters: new Map(retry), signal: undefined };
  const standsBy =
    mode.kind === 'standby' || (mode.kind === 'to-target' && recoversInStandbyMode(capabilities));
  const signal = standsBy ? 'standby.signal' : 'recovery.signal';
  const parameters = new Map([...withoutTargets(place), ...settings, ...retry]);
  return { recoveryConf: new Map(), parameters, signal };
}

/** The text of recovery.conf, which up to 9.0 has a syntax of its own. */
export function recoveryConfText(
  capabilities: Pick<Capabilities, 'recoveryConfSyntax'>,
  settings: ReadonlyMap<string, string>,
): string {
  const lines = [...settings].map(
    ([name, value]) => `${settingLine(name, value, capabilities.recoveryConfSyntax)}\n`,
  );
  return `# Written by cmd_standby; the next -S or -F999 rewrites it.\n${lines.join('')}`;
}
