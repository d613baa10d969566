/**
 * The recovery settings of a standby, of a recovery to a moment, and of a recovery to the end of the WAL, as each
 * PostgreSQL release wants them. Pure: `recovery/recovery-files.ts` puts them on disk.
 */
import type { Capabilities } from '../postgres/capabilities.ts';
import { conninfo, doublePercent, settingValue } from '../postgres/quoting.ts';
import { formatUtc } from '../postgres/timestamp.ts';
import type { CommandLine } from '../system/command.ts';

export type RecoveryMode =
  | { readonly kind: 'standby'; readonly streaming: Streaming | undefined }
  /** Plain archive recovery, which opens at the end of the WAL: how releases without `pg_ctl promote` fail over. */
  | { readonly kind: 'to-end' }
  /** Microseconds since 1970 in UTC. */
  | { readonly kind: 'to-time'; readonly micros: bigint };

export interface Streaming {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string | undefined;
  readonly sslmode: string;
  readonly applicationName: string;
  readonly triggerFile: string | undefined;
}

/** What of this host the settings name. */
export interface RecoveryPlace {
  /** Path of our `bin/cmd_standby`. */
  readonly launcher: string;
  readonly archivedir: string;
  /** For the notification when a standby cannot restore. */
  readonly iniFile: string;
  /** For 8.4 only. */
  readonly pgStandby: CommandLine | undefined;
  readonly pgArchivecleanup: CommandLine | undefined;
  /** Whether the user's own configuration sets `wal_retrieve_retry_interval`. */
  readonly ownRetryInterval: boolean;
}

export interface RecoverySettings {
  /** For `recovery.conf`; empty from 12 on. */
  readonly recoveryConf: ReadonlyMap<string, string>;
  /** For `postgresql.auto.conf`. */
  readonly parameters: ReadonlyMap<string, string>;
  /** From 12 on; the other one must not be there. */
  readonly signal: 'standby.signal' | 'recovery.signal' | undefined;
}

/** The default of 5 s is what an archived segment would wait before it is asked for again. */
const retryInterval = '500ms';

/** One word for the shell that the server starts; in double quotes, since 8.4 knows no way to write a single one. */
function shellWord(word: string): string {
  return `"${doublePercent(word.replaceAll(/[\\"$`]/g, '\\$&'))}"`;
}

function shellWords(command: CommandLine): string {
  return [command.program, ...command.args].map(shellWord).join(' ');
}

/**
 * The mode tells how trouble is answered: a standby goes on asking, a recovery that opens at the end must not take trouble
 * for the end (manual, section "Recovering Using a Continuous Archive Backup").
 */
function restoreCommand(place: RecoveryPlace, mode: 'standby' | 'target'): string {
  const { launcher, archivedir, iniFile } = place;
  const tell = mode === 'standby' ? ` ${shellWord(iniFile)}` : '';
  return `${shellWord(launcher)} --restore ${mode} ${shellWord(archivedir)} "%f" "%p"${tell}`;
}

/** 8.4 waits in the restore_command itself: once a second it looks for the next segment. */
function waitingRestoreCommand(pgStandby: CommandLine, archivedir: string): string {
  return `${shellWords(pgStandby)} -s1 -c ${shellWord(archivedir)} "%f" "%p" "%r"`;
}

export function primaryConninfo(streaming: Streaming): string {
  return conninfo({
    host: streaming.host,
    port: streaming.port,
    user: streaming.user,
    password: streaming.password,
    sslmode: streaming.sslmode,
    application_name: streaming.applicationName,
  });
}

function streamingSettings(capabilities: Capabilities, streaming: Streaming): Map<string, string> {
  const settings = new Map([['primary_conninfo', primaryConninfo(streaming)]]);
  const { triggerFile } = capabilities;
  if (triggerFile !== undefined && streaming.triggerFile !== undefined)
    settings.set(triggerFile, streaming.triggerFile);
  return settings;
}

function standbySettings(
  capabilities: Capabilities,
  streaming: Streaming | undefined,
  place: RecoveryPlace,
): Map<string, string> {
  const settings = new Map<string, string>();
  if (!capabilities.standbyMode && place.pgStandby !== undefined)
    return settings.set('restore_command', waitingRestoreCommand(place.pgStandby, place.archivedir));
  if (capabilities.recoveryConf === 'recovery.conf') settings.set('standby_mode', 'on');
  settings.set('restore_command', restoreCommand(place, 'standby'));
  if (place.pgArchivecleanup !== undefined && capabilities.hasArchiveCleanupCommand) {
    const cleanup = `${shellWords(place.pgArchivecleanup)} ${shellWord(place.archivedir)} "%r"`;
    settings.set('archive_cleanup_command', cleanup);
  }
  if (streaming === undefined) return settings;
  return new Map([...settings, ...streamingSettings(capabilities, streaming)]);
}

function targetSettings(capabilities: Capabilities, micros: bigint, place: RecoveryPlace) {
  const settings = new Map([
    ['restore_command', restoreCommand(place, 'target')],
    ['recovery_target_time', formatUtc(micros)],
  ]);
  const { targetAction } = capabilities;
  if (targetAction === 'recovery_target_action') settings.set(targetAction, 'promote');
  if (targetAction === 'pause_at_recovery_target') settings.set(targetAction, 'false');
  return settings;
}

function settingsOf(capabilities: Capabilities, mode: RecoveryMode, place: RecoveryPlace) {
  switch (mode.kind) {
    case 'standby':
      return standbySettings(capabilities, mode.streaming, place);
    case 'to-end':
      return new Map([['restore_command', restoreCommand(place, 'target')]]);
    case 'to-time':
      return targetSettings(capabilities, mode.micros, place);
  }
}

export function recoverySettings(
  capabilities: Capabilities,
  mode: RecoveryMode,
  place: RecoveryPlace,
): RecoverySettings {
  const settings = settingsOf(capabilities, mode, place);
  if (capabilities.timelineLatestMustBeWritten) settings.set('recovery_target_timeline', 'latest');
  const waits = mode.kind === 'standby' && capabilities.hasWalRetrieveRetryInterval;
  const retry: [string, string][] =
    waits && !place.ownRetryInterval ? [['wal_retrieve_retry_interval', retryInterval]] : [];
  if (capabilities.recoveryConf === 'recovery.conf')
    return { recoveryConf: settings, parameters: new Map(retry), signal: undefined };
  const signal = mode.kind === 'standby' ? 'standby.signal' : 'recovery.signal';
  return { recoveryConf: new Map(), parameters: new Map([...settings, ...retry]), signal };
}

/** The text of recovery.conf, which up to 9.0 has a syntax of its own. */
export function recoveryConfText(
  capabilities: Pick<Capabilities, 'recoveryConfSyntax'>,
  settings: ReadonlyMap<string, string>,
): string {
  const lines = [...settings].map(
    ([name, value]) => `${name} = ${settingValue(value, capabilities.recoveryConfSyntax)}\n`,
  );
  return `# Written by cmd_standby; the next -S or -F999 writes it anew.\n${lines.join('')}`;
}
