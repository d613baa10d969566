/**
 * Asks a standby which timelines its archive declares left, without delivering anything and also where it was promoted:
 * this server is perhaps an old primary.
 */
import { messageOf } from '../../errors.ts';
import { leash } from '../../system/leash.ts';
import type { Sentinel } from '../../system/sentinel.ts';
import type { ConnectResult, RemoteShell } from '../../system/ssh.ts';
import { callVerb } from '../../verbs/call.ts';
import { readRemoteSentinel } from '../../verbs/remote-sentinel.ts';
import type { ArchiverDeps } from '../deps.ts';
import type { Lane } from './lane.ts';
import { sshTargetOf } from './target.ts';

export type LeftAnswer =
  | {
      readonly kind: 'answered';
      readonly sentinel: Sentinel;
      /** A change of roles that takes the primary's role there is under way, and has perhaps not declared it yet. */
      readonly takesRole: 'failover' | 'switchover' | undefined;
      /** Why its cmd_standby did not say that in time: a host that is being promoted may be slow to answer. */
      readonly unsaid?: string;
      /** It is a standby that has replayed WAL of this timeline. */
      readonly timeline?: number;
    }
  /** It was reached, and has no archive of this cluster. */
  | { readonly kind: 'no-archive'; readonly reason: string }
  | { readonly kind: 'silent'; readonly reason: string };

type Role = Pick<Extract<LeftAnswer, { kind: 'answered' }>, 'takesRole' | 'unsaid' | 'timeline'>;

async function askRole(
  { log }: ArchiverDeps,
  { name }: Lane,
  shell: RemoteShell,
  { command }: Sentinel,
  limitMs: number,
): Promise<Role> {
  if (command === undefined) return { takesRole: undefined };
  const result = await callVerb(shell, command, 'status', {}, limitMs);
  if (result.kind === 'answered') {
    const { takesRole, switchover, isStandby, proved } = result.answer;
    if (takesRole === true) return { takesRole: switchover === undefined ? 'failover' : 'switchover' };
    const isKnown = isStandby === true && proved !== undefined;
    return { takesRole: undefined, ...(isKnown ? { timeline: proved.timeline } : {}) };
  }
  log.debug(`standby ${name} does not say whether a failover is under way there: ${result.reason}`);
  // A cmd_standby that cannot be called promotes nothing either.
  return result.kind === 'lost' ? { takesRole: undefined, unsaid: result.reason } : { takesRole: undefined };
}

async function askThere(
  deps: ArchiverDeps,
  lane: Lane,
  systemIdentifier: string,
  shell: RemoteShell,
  leftMs: () => number,
): Promise<LeftAnswer> {
  const read = await readRemoteSentinel(shell, lane.standby.r_archivedir, leftMs());
  if (read.kind === 'lost') return { kind: 'silent', reason: read.reason };
  if (read.kind === 'none') return { kind: 'no-archive', reason: read.reason };
  const { sentinel } = read;
  if (sentinel.systemIdentifier !== systemIdentifier)
    return { kind: 'no-archive', reason: `its archive belongs to cluster ${sentinel.systemIdentifier}` };
  return {
    kind: 'answered',
    sentinel,
    ...(await askRole(deps, lane, shell, sentinel, leftMs())),
  };
}

/** ssh may hang in any phase: at `endMs`, on the clock of `monotonicMs`, everything of ours is ended. */
export async function withLaneShell<T>(
  deps: ArchiverDeps,
  lane: Lane,
  endMs: number,
  use: (shell: RemoteShell, leftMs: () => number) => Promise<T>,
): Promise<ConnectResult<T>> {
  const leftMs = () => Math.max(1, Math.round(endMs - deps.monotonicMs()));
  const held = leash(deps.startSession, [deps.signal, AbortSignal.timeout(leftMs())]);
  const target = await sshTargetOf(deps, lane);
  const connectTimeoutS = Math.max(1, Math.min(target.connectTimeoutS, Math.ceil(leftMs() / 1000)));
  // The answers are found among whatever a start-up file prints.
  const shell = { ...target, connectTimeoutS, allowsNoise: true };
  return deps.withRemoteShell({ startSession: held.startSession, log: deps.log }, shell, (open) =>
    use(open, leftMs),
  );
}

/** Never fails. `endMs` as above. */
export async function askLeft(
  deps: ArchiverDeps,
  lane: Lane,
  systemIdentifier: string,
  endMs: number,
): Promise<LeftAnswer> {
  try {
    const used = await withLaneShell(deps, lane, endMs, (shell, leftMs) =>
      askThere(deps, lane, systemIdentifier, shell, leftMs),
    );
    return used.kind === 'used' ? used.value : { kind: 'silent', reason: used.reason };
  } catch (error) {
    deps.signal.throwIfAborted();
    return { kind: 'silent', reason: messageOf(error) };
  }
}
