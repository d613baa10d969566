import { describeResult, succeeded, type RunCommand } from './command.ts';
import type { Log } from './log.ts';
import { quoted } from './printable.ts';

export type Severity = 'ok' | 'warning' | 'critical';

/** What a notification says. The message reaches the command as one argument, the facts as environment variables. */
export interface Notification {
  readonly severity: Severity;
  readonly message: string;
  readonly facts: Readonly<Record<string, string | number>>;
}

/** The commands of `notify_ok`, `notify_warning`, `notify_critical`, and the seconds between reminders. */
export interface NotifySettings {
  readonly notify_ok: string | undefined;
  readonly notify_warning: string | undefined;
  readonly notify_critical: string | undefined;
  readonly notify_reminder: number;
}

export interface NotifyDeps {
  readonly run: RunCommand;
  readonly log: Log;
}

/** A hung alert script must not hold up the WAL for longer. */
const limitMs = 10_000;
const longestMessage = 2000;

/**
 * Runs the command of that severity. The message is never part of the shell's text: it is `$1` there, so that nothing in
 * it can be taken for a command. A command that fails is logged and changes nothing else.
 */
export async function notify(
  deps: NotifyDeps,
  settings: NotifySettings,
  notification: Notification,
): Promise<void> {
  const command = settings[`notify_${notification.severity}`];
  if (command === undefined || command.trim() === '') return;
  // What another host has said may stand in it, and a mail or a pager takes control characters as badly as a terminal.
  const message = quoted(notification.message, longestMessage);
  const facts: Notification['facts'] = { severity: notification.severity, message, ...notification.facts };
  const env = Object.fromEntries(
    Object.entries(facts).map(([name, value]) => [
      `PITRTOOLS_${name.toUpperCase()}`,
      quoted(value.toString(), longestMessage),
    ]),
  );
  const result = await deps.run(
    { program: '/bin/sh', args: ['-c', `${command} "$@"`, 'sh', message] },
    { limitMs, env, asCaller: true },
  );
  for (const line of result.stdout.split('\n').filter(Boolean)) deps.log.notice(line);
  if (!succeeded(result))
    deps.log.warning(`notify_${notification.severity} failed: ${describeResult(result)}`);
}

/** What was last said about one subject; kept on disk between calls. */
export interface SaidState {
  readonly severity: Severity;
  /** Seconds since the epoch. */
  readonly lastNotified: number;
}

/**
 * Whether to speak: on a change of state, and as a reminder while a bad one lasts (never where `reminderS` is 0). The first
 * time all is well there is nothing to say.
 */
export function isNotificationDue(
  said: SaidState | undefined,
  severity: Severity,
  nowS: number,
  reminderS: number,
): boolean {
  if (said === undefined) return severity !== 'ok';
  if (said.severity !== severity) return true;
  // The clock was set back since: how long ago it was said is not known.
  if (said.lastNotified > nowS) return severity !== 'ok' && reminderS > 0;
  return severity !== 'ok' && reminderS > 0 && nowS - said.lastNotified >= reminderS;
}
