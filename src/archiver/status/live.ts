/** The word of a standby about itself, for --status --live: by the verb `status` of the cmd_standby there. */
import { parseLsn } from '../../postgres/lsn.ts';
import { NotKnown } from '../../status/fact.ts';
import type { DiskUse } from '../../status/limits.ts';
import { quoted } from '../../system/printable.ts';
import { type ClockOffset, clockOffset } from '../../system/remote-clock.ts';
import type { RemoteShell } from '../../system/ssh.ts';
import { callVerb } from '../../verbs/call.ts';
import { readRemoteSentinel } from '../../verbs/remote-sentinel.ts';
import type { AnswerOf } from '../../verbs/verbs.ts';
import { withLaneShell } from '../lane/ask-left.ts';
import type { Lane } from '../lane/lane.ts';
import type { StatusDeps } from './facts.ts';

export interface LiveFacts {
  readonly server: AnswerOf<'status'>['server'];
  /** The last one that its pg_control proves. */
  readonly timeline: number | undefined;
  /** By its server or, if that does not say it, at least so far by its pg_control. */
  readonly replayed: bigint | undefined;
  /** For how many seconds its replay waits on purpose; undefined if it does not say that. */
  readonly delayS: number | undefined;
  /** A -F999 or --switchover is promoting it. */
  readonly isBeingPromoted: boolean;
  /** The file system of its archivedir. */
  readonly disk: DiskUse | undefined;
}

/** To end what was begun. */
const afterwardsMs = 300;

function liveFacts({ server, proved, replayed, delay, promotion, disk }: AnswerOf<'status'>): LiveFacts {
  const lsn = replayed ?? proved?.lsn;
  return {
    server,
    timeline: proved?.timeline,
    replayed: lsn === undefined ? undefined : parseLsn(lsn),
    delayS: delay,
    isBeingPromoted: promotion !== undefined,
    disk: disk && { bytes: disk.bytes, freeBytes: disk.free },
  };
}

/** Both of one connection: the host says its time before its cmd_standby is asked. */
interface Asked {
  readonly live: Promise<LiveFacts>;
  readonly clock: Promise<ClockOffset>;
}

async function askThere(
  deps: StatusDeps,
  { name, standby }: Lane,
  systemIdentifier: string,
  shell: RemoteShell,
  leftMs: () => number,
  onClock: (offset: ClockOffset | undefined) => void,
): Promise<LiveFacts> {
  const beforeMs = deps.now();
  const read = await readRemoteSentinel(shell, standby.r_archivedir, leftMs());
  if (read.kind !== 'read') throw new NotKnown(quoted(read.reason, 300));
  onClock(clockOffset(read.lines, beforeMs, deps.now()));
  const { sentinel } = read;
  if (sentinel.systemIdentifier !== systemIdentifier)
    throw new NotKnown(`the archive of ${name} belongs to cluster ${quoted(sentinel.systemIdentifier, 40)}`);
  if (sentinel.command === undefined)
    throw new NotKnown(`the archive of ${name} does not say how cmd_standby is called there`);
  const result = await callVerb(shell, sentinel.command, 'status', {}, leftMs());
  if (result.kind !== 'answered') throw new NotKnown(quoted(result.reason, 300));
  return liveFacts(result.answer);
}

async function ask(
  deps: StatusDeps,
  lane: Lane,
  systemIdentifier: string,
  onClock: (offset: ClockOffset | undefined) => void,
): Promise<LiveFacts> {
  const endMs = deps.endMs - afterwardsMs;
  const used = await withLaneShell(deps, lane, endMs, (shell, leftMs) =>
    askThere(deps, lane, systemIdentifier, shell, leftMs, onClock),
  );
  if (used.kind === 'used') return used.value;
  throw new NotKnown(`${lane.name} cannot be asked: ${quoted(used.reason, 300)}`);
}

/** Each rejects with the reason why it is not known. */
export function askLive(deps: StatusDeps, lane: Lane, systemIdentifier: string): Asked {
  let live: Promise<LiveFacts> | undefined;
  const clock = new Promise<ClockOffset>((resolve, reject) => {
    live = ask(deps, lane, systemIdentifier, (offset) => {
      if (offset === undefined) reject(new NotKnown(`${lane.name} did not say its time`));
      else resolve(offset);
    });
    // Once the clock is known, this changes nothing.
    live.catch(reject);
  });
  clock.catch(() => undefined);
  return { live: live ?? Promise.reject(new NotKnown('nobody was asked')), clock };
}
