import type { ArchiverSettings, StandbyTarget } from '../../config/options-archiver.ts';
import { messageOf } from '../../errors.ts';
import { leash } from '../../system/leash.ts';
import { addressesOf } from '../../system/own-addresses.ts';
import { quoted } from '../../system/printable.ts';
import { type ClockOffset, clockOffset } from '../../system/remote-clock.ts';
import { type Sentinel, sentinelName, type StandbyCommand } from '../../system/sentinel.ts';
import type { ConnectResult, RemoteShell } from '../../system/ssh.ts';
import { sshTarget } from '../../system/ssh-target.ts';
import { callVerb } from '../../verbs/call.ts';
import { readRemoteSentinel } from '../../verbs/remote-sentinel.ts';
import type { AnswerOf } from '../../verbs/verbs.ts';
import type { StandbyDeps } from '../deps.ts';
import { findOverlaps } from '../host/same-place.ts';

/** The answer of one of the other standbys about itself. */
export type SiblingAnswer =
  /** It is this host, under a name that we did not know. */
  | { readonly kind: 'self' }
  /** It did not answer within the limit. */
  | { readonly kind: 'silent'; readonly reason: string }
  /** Its archive cannot be shown to be one of ours. */
  | { readonly kind: 'no-archive'; readonly reason: string; readonly hint: string }
  | { readonly kind: 'foreign'; readonly systemIdentifier: string }
  /** Its cmd_standby could not be asked. */
  | {
      readonly kind: 'mute';
      readonly sentinel: Sentinel;
      readonly reason: string;
      readonly hint: string;
    }
  | {
      readonly kind: 'answered';
      readonly sentinel: Sentinel;
      readonly command: StandbyCommand;
      readonly said: AnswerOf<'wal-from'>;
      /** Undefined if it did not say its time. */
      readonly clock: ClockOffset | undefined;
    };

export interface Sibling {
  readonly target: StandbyTarget;
  readonly answer: SiblingAnswer;
  /** Its host is that of the primary so far: the look at that server says what is known of it. */
  readonly isPrimaryHost?: true;
}

/** By its own word, its server does not run. */
export function isStopped({ answer }: Pick<Sibling, 'answer'>): boolean {
  return answer.kind === 'answered' && answer.said.server === 'down';
}

/** Connects to one of them. ssh may hang in any phase: after `limitMs` everything of ours is ended. */
export async function withSibling<T>(
  deps: StandbyDeps,
  archiver: ArchiverSettings,
  target: StandbyTarget,
  limitMs: number,
  use: (shell: RemoteShell) => Promise<T>,
): Promise<ConnectResult<T>> {
  const held = leash(deps.startSession, [deps.signal, AbortSignal.timeout(limitMs)]);
  try {
    const ssh = await sshTarget({ ...target, what: `the standby ${target.name}` }, archiver);
    const connectTimeoutS = Math.max(1, Math.min(ssh.connectTimeoutS, Math.ceil(limitMs / 1000)));
    // The answer to a verb is found among whatever a start-up file prints.
    const shell = { ...ssh, connectTimeoutS, allowsNoise: true };
    return await deps.withRemoteShell({ startSession: held.startSession, log: deps.log }, shell, use);
  } catch (error) {
    deps.signal.throwIfAborted();
    return { kind: 'unreachable', reason: messageOf(error) };
  }
}

export interface SiblingQuestion {
  readonly systemIdentifier: string;
  /** The WAL that this host replays next. */
  readonly from: bigint;
}

async function askThere(
  deps: StandbyDeps,
  target: StandbyTarget,
  { systemIdentifier, from }: SiblingQuestion,
  shell: RemoteShell,
  leftMs: () => number,
): Promise<SiblingAnswer> {
  const beforeMs = deps.now();
  const read = await readRemoteSentinel(shell, target.r_archivedir, leftMs());
  const afterMs = deps.now();
  if (read.kind === 'lost') return { kind: 'silent', reason: read.reason };
  if (read.kind === 'none') {
    const hint =
      'Run cmd_standby -C FILE -I there; if that was done, its file system is perhaps not mounted.';
    return { kind: 'no-archive', reason: read.reason, hint };
  }
  const { sentinel } = read;
  const overlaps = await findOverlaps(deps.run, shell, [deps.settings.archivedir], [target.r_archivedir]);
  if (overlaps.some(({ overlap }) => overlap === 'same')) return { kind: 'self' };
  if (sentinel.systemIdentifier !== systemIdentifier)
    return { kind: 'foreign', systemIdentifier: sentinel.systemIdentifier };
  const { command } = sentinel;
  if (command === undefined) {
    const reason = `${target.r_archivedir}/${sentinelName} there does not say how cmd_standby is called`;
    return { kind: 'mute', sentinel, reason, hint: 'Run cmd_standby -C FILE --cleanup there once.' };
  }
  const result = await callVerb(shell, command, 'wal-from', { lsn: from }, leftMs());
  if (result.kind === 'lost') return { kind: 'silent', reason: result.reason };
  if (result.kind === 'refused') {
    const hint = 'Check cmd_standby and its INI file there.';
    return { kind: 'mute', sentinel, reason: result.reason, hint };
  }
  const said = result.answer;
  if (said.systemIdentifier !== undefined && said.systemIdentifier !== systemIdentifier)
    return { kind: 'foreign', systemIdentifier: quoted(said.systemIdentifier, 40) };
  const clock = clockOffset(read.lines, beforeMs, afterMs);
  return { kind: 'answered', sentinel, command, said, clock };
}

async function ask(
  deps: StandbyDeps,
  archiver: ArchiverSettings,
  target: StandbyTarget,
  question: SiblingQuestion,
): Promise<Sibling> {
  const limitMs = deps.settings.failover_probe_timeout * 1000;
  const endMs = deps.monotonicMs() + limitMs;
  const leftMs = () => Math.max(1, endMs - deps.monotonicMs());
  const used = await withSibling(deps, archiver, target, limitMs, (shell) =>
    askThere(deps, target, question, shell, leftMs),
  );
  return { target, answer: used.kind === 'used' ? used.value : { kind: 'silent', reason: used.reason } };
}

/**
 * Asks all of them at once, each within `failover_probe_timeout`: how far they have come, and which segments they have.
 */
export async function askSiblings(
  deps: StandbyDeps,
  archiver: ArchiverSettings,
  targets: readonly StandbyTarget[],
  question: SiblingQuestion,
): Promise<readonly Sibling[]> {
  const asked = await Promise.all(targets.map((target) => ask(deps, archiver, target, question)));
  const others = asked.filter(({ answer }) => answer.kind !== 'self');
  const ofPrimary = await hostNames(deps.settings.master_public_ip);
  return Promise.all(
    others.map(async (each) => {
      const names = await hostNames(each.target.host);
      return names.some((name) => ofPrimary.includes(name))
        ? { ...each, isPrimaryHost: true as const }
        : each;
    }),
  );
}

/** One host may have several names. */
async function hostNames(host: string): Promise<readonly string[]> {
  return [host, ...(await addressesOf(host))];
}
