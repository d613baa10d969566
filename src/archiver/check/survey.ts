/** The facts that one connection to a standby shows: everything that --check has to say of that host but the arrival of WAL. */
import { type ClockOffset, clockOffset } from '../../system/remote-clock.ts';
import { remoteRsync } from '../../system/rsync.ts';
import { shellQuote } from '../../system/shell-quote.ts';
import type { RemoteShell, SshTarget } from '../../system/ssh.ts';
import { archiveWork } from '../../verbs/archive-requests.ts';
import { callVerb, type VerbResult } from '../../verbs/call.ts';
import { nameOfLane } from '../../verbs/scripts/delivery.ts';
import type { Hello } from '../delivery/delivery.ts';
import { sayHello } from '../delivery/delivery.ts';
import type { Trouble } from '../delivery/trouble.ts';
import type { ArchiverDeps } from '../deps.ts';
import { placeOf } from '../lane/connect.ts';
import type { Lane } from '../lane/lane.ts';
import { sshTargetOf } from '../lane/target.ts';
import type { Cluster } from '../wal/cluster.ts';

export interface HostFacts {
  /** Undefined if it did not say its time. */
  readonly clock: ClockOffset | undefined;
  /** The login is limited to a forced command. */
  readonly isForced: boolean;
  /** See `linksScript`. */
  readonly links: readonly string[];
  readonly rsync: string;
  readonly space: readonly string[];
  readonly inodes: readonly string[];
}

export interface Survey {
  readonly facts: HostFacts | undefined;
  /** Undefined if pgdata here could not be read: then it is not known which cluster the archive must be of. */
  readonly archive: Hello | { readonly trouble: Trouble } | undefined;
  /** The version of cmd_standby there, or what it said instead; undefined if the sentinel does not name it. */
  readonly program: string | undefined;
  /** Its own word about its server; undefined if it was not asked. */
  readonly status: VerbResult<'status'> | undefined;
}

export type Surveyed =
  | { readonly kind: 'used'; readonly target: SshTarget; readonly value: Survey }
  | { readonly kind: 'noisy'; readonly target: SshTarget; readonly reason: string }
  | {
      readonly kind: 'unreachable';
      readonly target: SshTarget;
      readonly reason: string;
      readonly said?: string;
    };

async function askFacts(deps: ArchiverDeps, shell: RemoteShell, lane: Lane): Promise<HostFacts | undefined> {
  const { r_archivedir, rsync_flags, ssh_timeout } = lane.standby;
  const beforeMs = deps.now();
  const place = { archivedir: r_archivedir, rsync: remoteRsync(rsync_flags) };
  const result = await shell.run(archiveWork('host-facts', place, {}), { limitMs: ssh_timeout * 1000 });
  const afterMs = deps.now();
  if (result.kind === 'lost') return undefined;
  const under = (word: string): string[] =>
    result.lines.filter((line) => line.startsWith(`${word} `)).map((line) => line.slice(word.length + 1));
  return {
    clock: clockOffset(result.lines, beforeMs, afterMs),
    isForced: result.lines.includes('forced'),
    links: result.lines,
    rsync: under('rsync')[0] ?? '',
    space: under('space'),
    inodes: under('inodes'),
  };
}

/** In a directory of its own: the shipper delivers meanwhile, and its own greeting removes what others left in its. */
async function askArchive(deps: ArchiverDeps, shell: RemoteShell, lane: Lane, cluster: Cluster) {
  const place = placeOf(deps, lane, cluster);
  const own = { ...place, lane: `${place.lane}.check-${place.run}` };
  const { standby } = lane;
  const answer = await sayHello({ standby, shell, place: own }, []);
  const work = archiveWork('end-hello', place, { lane: nameOfLane(own), run: own.run });
  await shell.run(work, { limitMs: standby.ssh_timeout * 1000 });
  return answer;
}

async function askProgram(
  shell: RemoteShell,
  { standby }: Lane,
  archive: Survey['archive'],
): Promise<string | undefined> {
  if (archive === undefined || archive.trouble !== undefined) return undefined;
  const { command } = archive.sentinel;
  if (command === undefined) return undefined;
  const place = { archivedir: standby.r_archivedir, program: shellQuote(command.program) };
  const result = await shell.run(archiveWork('program-version', place, {}), {
    limitMs: standby.ssh_timeout * 1000,
  });
  return result.kind === 'lost' ? result.reason : result.lines.join(' ').trim();
}

async function askStatus(
  shell: RemoteShell,
  { standby }: Lane,
  archive: Survey['archive'],
): Promise<Survey['status']> {
  const command = archive?.trouble === undefined ? archive?.sentinel.command : undefined;
  if (command === undefined) return undefined;
  return callVerb(shell, command, 'status', {}, standby.ssh_timeout * 1000);
}

/** Changes nothing there but a directory in `.incoming`, which it removes again. Rejects if there is no ssh here. */
export async function surveyStandby(
  deps: ArchiverDeps,
  lane: Lane,
  cluster: Cluster | undefined,
): Promise<Surveyed> {
  const target = await sshTargetOf(deps, lane);
  const connected = await deps.withRemoteShell(deps, target, async (shell): Promise<Survey> => {
    const facts = await askFacts(deps, shell, lane);
    const archive = cluster && (await askArchive(deps, shell, lane, cluster));
    const program = await askProgram(shell, lane, archive);
    return { facts, archive, program, status: await askStatus(shell, lane, archive) };
  });
  return { ...connected, target };
}
