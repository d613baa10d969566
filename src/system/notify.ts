import type { Clock } from './clock.ts';
import { type Hook, type HookEnd, type StartHook, startHook } from './hook.ts';
import { type Checked, is } from './json.ts';
import { documentHead } from './json-document.ts';
import type { Log } from './log.ts';
import { quoted } from './printable.ts';

export type Severity = 'ok' | 'warning' | 'critical';

/**
 * One notification. The message reaches the command as one argument, the facts as environment variables, and all of it
 * as JSON on standard input.
 */
export interface Notification {
  readonly severity: Severity;
  /** Which question it answers, as the findings of --status are named. */
  readonly name: string;
  /** The standby, host or directory that it is about, if the name alone does not say it. */
  readonly about?: string | undefined;
  readonly message: string;
  readonly facts: Readonly<Record<string, string | number>> & {
    readonly program: 'cmd_archiver' | 'cmd_standby';
  };
}

/** The commands of `notify_ok`, `notify_warning`, `notify_critical`, and the seconds between reminders. */
export interface NotifySettings {
  readonly notify_ok: string | undefined;
  readonly notify_warning: string | undefined;
  readonly notify_critical: string | undefined;
  readonly notify_reminder: number;
}

export interface NotifyDeps extends Pick<Clock, 'now'> {
  readonly hostName: string;
  readonly log: Log;
  readonly startHook?: StartHook | undefined;
}

/** The longest time that an alert script may run; nothing waits for it. */
const limitS = 10;
const longestMessage = 2000;
/** The time that the end of our program leaves the hooks for output to our log. */
const shutdownGraceMs = 1_000;

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

/** Changes when a field is removed or changes its meaning; a new field does not change it. */
const jsonVersion = 1;

/** The form is described by doc/notification.schema.json: it has the findings of --status --json. */
function jsonOf(
  { now, hostName }: NotifyDeps,
  { severity: level, name, about, message, facts }: Notification,
) {
  const { program, ...details } = facts;
  const subject = { name, about };
  return JSON.stringify({
    ...documentHead(jsonVersion, { program, host: hostName, atMs: now() }),
    level,
    subject,
    message,
    // A problem that is over is no finding any more.
    findings: level === 'ok' ? [] : [{ ...subject, level, message }],
    details,
  });
}

/** NUL is refused by the kernel, and mail programs and pagers handle control characters as badly as terminals do. */
function harmless(notification: Notification): Notification {
  const { facts } = notification;
  const texts = Object.entries(facts).map(([key, value]) => [
    key,
    typeof value === 'number' ? value : quoted(value, longestMessage),
  ]);
  return {
    ...notification,
    message: quoted(notification.message, longestMessage),
    facts: { ...(Object.fromEntries(texts) as Record<string, string | number>), program: facts.program },
  };
}

/**
 * Starts the command of that severity, and waits for nothing: an alert script that hangs delays nobody. The message
 * is never part of the shell's text: the shell sees it as `$1`, and nothing in it can be taken for a command. A
 * command that fails is logged and changes nothing else.
 */
export function notify(deps: NotifyDeps, settings: NotifySettings, notification: Notification): void {
  const name = `notify_${notification.severity}` as const;
  const command = settings[name];
  if (command === undefined || command.trim() === '') return;
  const harmlessOne = harmless(notification);
  const { severity, message, facts } = harmlessOne;
  const all: Readonly<Record<string, string | number>> = { severity, message, ...facts };
  const env = Object.fromEntries(
    Object.entries(all).map(([key, value]) => [`PITRTOOLS_${key.toUpperCase()}`, value.toString()]),
  );
  const start = deps.startHook ?? startHook;
  const input = `${jsonOf(deps, harmlessOne)}\n`;
  const hook = start({ command, args: [message], env, input, limitS });
  const logged = hook.ended.then((end) => {
    running.delete(hook);
    logEnd(deps.log, name, end);
  });
  running.set(hook, logged);
}

/** At the end of a program: hooks that still run get a moment, then we leave them alone. */
export async function partWithHooks(graceMs = shutdownGraceMs): Promise<void> {
  if (running.size === 0) return;
  const timer = setTimeout(() => {
    for (const hook of running.keys()) hook.leave();
  }, graceMs);
  await Promise.all(running.values());
  clearTimeout(timer);
}

/** The last notification about one subject; kept on disk between calls. */
export const saidFields = {
  severity: is.oneOf('ok', 'warning', 'critical'),
  /** Seconds since the epoch. */
  lastNotified: is.number,
};

export type SaidState = Checked<typeof saidFields>;

/**
 * Whether to notify: on a change of state, and as a reminder while a bad state lasts (never if `reminderS` is 0). If
 * all is well the first time, there is nothing to report.
 */
export function isNotificationDue(
  said: SaidState | undefined,
  severity: Severity,
  nowS: number,
  reminderS: number,
): boolean {
  if (said === undefined) return severity !== 'ok';
  if (said.severity !== severity) return true;
  // The clock was set back since then: the age of the notification is unknown.
  if (said.lastNotified > nowS) return severity !== 'ok' && reminderS > 0;
  return severity !== 'ok' && reminderS > 0 && nowS - said.lastNotified >= reminderS;
}

/** The later of two memories of the same subject. */
export function latestSaid(one: SaidState | undefined, other: SaidState | undefined): SaidState | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return one.lastNotified > other.lastNotified ? one : other;
}
