/** Asks a standby what its archivedir holds, beside everything that delivers there. */
import { formatLsn, parseLsn, segmentContaining, segmentNumber, type WalLayout } from '../../postgres/lsn.ts';
import type { Sentinel } from '../../system/sentinel.ts';
import type { RemoteShell } from '../../system/ssh.ts';
import { callVerb } from '../../verbs/call.ts';
import { readRemoteSentinel } from '../../verbs/remote-sentinel.ts';
import type { AnswerOf } from '../../verbs/verbs.ts';
import type { ArchiverDeps } from '../deps.ts';
import type { Lane } from '../lane/lane.ts';
import { sshTargetOf } from '../lane/target.ts';
import type { HeldFile, Inventory } from './judge.ts';
import { type Range, segmentOf } from './ranges.ts';

/** Node has to start there, and to read each file if digests are asked for. */
const answerMs = 60_000;

/** The deliveries that are looked for: no more is asked, and no more is kept, whatever the standby answers. */
interface Wanted {
  readonly ranges: readonly Range[];
  readonly layout: WalLayout;
}

export type Asked =
  | { readonly kind: 'answered'; readonly inventory: Inventory }
  | { readonly kind: 'unknown'; readonly reason: string };

const unknown = (reason: string): Asked => ({ kind: 'unknown', reason });

type Answer = AnswerOf<'inventory'>;

/** Why the answer says nothing about this cluster's WAL. */
function flawOf(answer: Answer, cluster: string): string | undefined {
  if (answer.server === 'no-data') return 'it has no data yet';
  if (answer.restartpoint === undefined) return 'it cannot determine its restartpoint';
  if (answer.systemIdentifier !== cluster)
    return `its data directory is of cluster ${answer.systemIdentifier ?? 'unknown'}`;
  return answer.files === undefined ? 'its archivedir cannot be relied on' : undefined;
}

function boundsOf({ ranges, layout }: Wanted) {
  const timelines = new Set(ranges.map(({ timeline }) => timeline));
  const end = ranges.reduce((most, { last }) => Math.max(most, last), 0);
  const isWanted = (text: string): boolean => {
    const name = segmentOf(text, layout);
    return name !== undefined && timelines.has(name.timeline) && segmentNumber(name, layout) <= end;
  };
  const numberAt = (lsn: bigint): number => segmentNumber(segmentContaining(1, lsn, layout), layout);
  return { end, isWanted, numberAt };
}

async function askAll(
  shell: RemoteShell,
  command: NonNullable<Sentinel['command']>,
  left: Sentinel['left'],
  cluster: string,
  digests: boolean,
  wanted: Wanted,
): Promise<Asked> {
  const { end, isWanted, numberAt } = boundsOf(wanted);
  const files = new Map<string, HeldFile>();
  const aside = new Set<string>();
  for (let from = 0n; ;) {
    const result = await callVerb(shell, command, 'inventory', { from, digests }, answerMs);
    if (result.kind !== 'answered') return unknown(result.reason);
    const { answer } = result;
    const flaw = flawOf(answer, cluster);
    if (flaw !== undefined) return unknown(flaw);
    for (const { name, size, sha256 } of answer.files ?? [])
      if (isWanted(name)) files.set(name, { size, sha256 });
    for (const name of answer.aside ?? []) if (isWanted(name)) aside.add(name);
    const next = answer.incompleteFrom === undefined ? undefined : parseLsn(answer.incompleteFrom);
    if (next === undefined || numberAt(next) > end) {
      // The last one: a cleanup between two answers removes only what is older.
      const restartpoint = parseLsn(answer.restartpoint?.lsn ?? formatLsn(0n));
      return { kind: 'answered', inventory: { restartpoint, files, aside, left } };
    }
    if (numberAt(next) <= numberAt(from)) return unknown('its answers do not come to an end');
    from = next;
  }
}

/** Never fails. Changes nothing there. */
export async function askInventory(
  deps: ArchiverDeps,
  lane: Lane,
  cluster: string,
  digests: boolean,
  wanted: Wanted,
): Promise<Asked> {
  const { standby } = lane;
  const limitMs = standby.ssh_timeout * 1000;
  const target = await sshTargetOf(deps, lane);
  const connected = await deps.withRemoteShell(deps, target, async (shell): Promise<Asked> => {
    const read = await readRemoteSentinel(shell, standby.r_archivedir, limitMs);
    if (read.kind !== 'read') return unknown(read.reason);
    const { sentinel } = read;
    if (sentinel.systemIdentifier !== cluster)
      return unknown(`its archivedir is of cluster ${sentinel.systemIdentifier}`);
    if (sentinel.command === undefined)
      return unknown(
        'its sentinel does not say how cmd_standby is called there (run cmd_standby -C FILE --cleanup there once)',
      );
    return askAll(shell, sentinel.command, sentinel.left, cluster, digests, wanted);
  });
  return connected.kind === 'used' ? connected.value : unknown(connected.reason);
}
