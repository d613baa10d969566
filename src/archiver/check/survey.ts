/** The facts that one connection to a standby shows: everything that --check has to say of that host but the arrival of WAL. */
import { linksScript } from '../../check/links.ts';
import { forcedScript } from '../../check/login.ts';
import { type ClockOffset, clockOffset, clockScript } from '../../system/remote-clock.ts';
import { remoteRsync } from '../../system/rsync.ts';
import { shellQuote } from '../../system/shell-quote.ts';
import type { RemoteShell, SshTarget } from '../../system/ssh.ts';
import { callVerb, type VerbResult } from '../../verbs/call.ts';
import type { Hello } from '../delivery/delivery.ts';
import { sayHello } from '../delivery/delivery.ts';
import type { Trouble } from '../delivery/trouble.ts';
import type { ArchiverDeps } from '../deps.ts';
import { placeOf, sshTargetOf } from '../lane/connect.ts';
import type { Lane } from '../lane/lane.ts';
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

function factsScript(archivedir: string, rsync: string): string {
  return `LC_ALL=C; export LC_ALL
${clockScript}
${forcedScript}
${linksScript(archivedir)}
${rsync} --version 2>&1 | sed -n '1s/^/rsync /p'
cd ${shellQuote(archivedir)} 2>/dev/null || exit 0
df -Pk . 2>/dev/null | sed 's/^/space /'
df -Pi . 2>/dev/null | sed 's/^/inodes /'`;
}

async function askFacts(deps: ArchiverDeps, shell: RemoteShell, lane: Lane): Promise<HostFacts | undefined> {
  const { r_archivedir, rsync_flags, ssh_timeout } = lane.standby;
  const beforeMs = deps.now();
  const result = await shell.run(factsScript(r_archivedir, remoteRsync(rsync_flags)), {
    limitMs: ssh_timeout * 1000,
  });
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
  const left = `${standby.r_archivedir}/${own.lane}`;
  await shell.run(`rmdir ${shellQuote(`${left}/${own.run}`)} ${shellQuote(left)} 2>/dev/null`, {
    limitMs: standby.ssh_timeout * 1000,
  });
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
  const script = `${shellQuote(command.program)} --version 2>&1`;
  const result = await shell.run(script, { limitMs: standby.ssh_timeout * 1000 });
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
