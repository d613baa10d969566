import { startHook, type Hook, type HookEnd, type StartHook } from './hook.ts';
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
  readonly log: Log;
  readonly startHook?: StartHook | undefined;
}

/** What an alert script may take at most; it is nobody's concern but its own. */
const limitS = 10;
const longestMessage = 2000;
/** What the end of our program leaves the hooks for saying what goes to our log. */
const partingMs = 1_000;

const running = new Map<Hook, Promise<void>>();

function logEnd(log: Log, name: string, end: HookEnd): void {
  switch (end.kind) {
    case 'exited':
      for (const line of end.stdout.split('\n').filter(Boolean)) log.notice(line);
      if (end.code === 0) return;
      log.warning(
        `${name} failed: exit status ${end.code}${end.stderr.trim() === '' ? '' : `: ${end.stderr.trim()}`}`,
      );
      return;
    case 'timed-out':
      log.warning(`${name} failed: it was ended after ${end.limitS} s`);
      return;
    case 'not-started':
      log.warning(`${name} failed: ${end.reason}`);
      return;
    case 'left':
      log.warning(`${name} is still running; it is ended after ${limitS} s`);
  }
}

/**
 * Starts the command of that severity, and waits for nothing: an alert script that hangs holds up nobody. The message is never
 * part of the shell's text: it is `$1` there, so that nothing in it can be taken for a command. A command that fails is logged
 * and changes nothing else.
 */
export function notify(deps: NotifyDeps, settings: NotifySettings, notification: Notification): void {
  const name = `notify_${notification.severity}` as const;
  const command = settings[name];
  if (command === undefined || command.trim() === '') return;
  // What another host has said may stand in it, and a mail or a pager takes control characters as badly as a terminal.
  const message = quoted(notification.message, longestMessage);
  const facts: Notification['facts'] = { severity: notification.severity, message, ...notification.facts };
  const env = Object.fromEntries(
    Object.entries(facts).map(([key, value]) => [
      `PITRTOOLS_${key.toUpperCase()}`,
      quoted(value.toString(), longestMessage),
    ]),
  );
  const start = deps.startHook ?? startHook;
  const hook = start({ command, args: [message], env, limitS });
  const logged = hook.ended.then((end) => {
    running.delete(hook);
    logEnd(deps.log, name, end);
  });
  running.set(hook, logged);
}

/** At the end of a program: the hooks that still run get a moment, and are then left to themselves. */
export async function partWithHooks(graceMs = partingMs): Promise<void> {
  if (running.size === 0) return;
  const timer = setTimeout(() => {
    for (const hook of running.keys()) hook.leave();
  }, graceMs);
  await Promise.all(running.values());
  clearTimeout(timer);
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

/** The later of two memories of the same subject. */
export function latestSaid(one: SaidState | undefined, other: SaidState | undefined): SaidState | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return one.lastNotified > other.lastNotified ? one : other;
}
