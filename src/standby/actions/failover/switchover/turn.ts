/** After the promotion: the old primary becomes a standby of this host, and the other standbys follow it. */
import { messageOf, PitrError } from '../../../../errors.ts';
import { readPostmaster } from '../../../../system/postmaster.ts';
import { quoted } from '../../../../system/printable.ts';
import { callVerb } from '../../../../verbs/call.ts';
import type { AnswerOf } from '../../../../verbs/verbs.ts';
import { isStopped, type Sibling, withSibling } from '../../../siblings/ask.ts';
import type { SiblingFacts } from '../../../siblings/observe.ts';
import { provenTimeline } from '../verify.ts';
import { remainingSlots, type Remark } from './remarks.ts';
import type { SwitchoverRun } from './run.ts';

/** A host that was asked to follow this one. */
export interface Turned {
  readonly name: string;
  readonly result:
    | { readonly kind: 'follows'; readonly how: AnswerOf<'follow'> }
    | { readonly kind: 'failed'; readonly reason: string }
    /** It was stopped before the switchover. `command` makes it follow there. */
    | { readonly kind: 'left stopped'; readonly command: string };
}

/** It may have to wait for WAL: start_timeout and wal_timeout of its own INI file are its limits. */
const limitMs = 20 * 60_000;

/** The arguments for every host that is to follow this one. */
async function request(run: SwitchoverRun) {
  const { server, systemIdentifier: cluster, publicName: host } = run;
  const postmaster = await readPostmaster(server.pgdata);
  const port = postmaster.kind === 'running' ? postmaster.port : undefined;
  return { host, port: port ?? server.deps.settings.port, cluster, timeline: await provenTimeline(run) };
}

function failed(name: string, error: unknown): Turned {
  const detail = error instanceof PitrError ? error.detail : undefined;
  const reason = quoted([messageOf(error), detail].filter(Boolean).join('; '));
  return { name, result: { kind: 'failed', reason } };
}

const markMs = 60_000;

/**
 * The old primary refuses to be opened again on the timeline that was left. Before anything else that may take long or fail: an
 * operator, or a request that comes late, may start it at any moment.
 */
export async function informPrimary(run: SwitchoverRun): Promise<void> {
  const { peer, systemIdentifier: cluster } = run;
  const { log, signal } = run.server.deps;
  const mark = run.left?.marks.at(-1);
  if (mark === undefined) return;
  const { timeline, lsn, by: host } = mark;
  try {
    await peer.callAnew('mark-left', { timeline, lsn, host, cluster }, markMs);
  } catch (error) {
    signal.throwIfAborted();
    log.warning(
      `the old primary on ${peer.host} could not be informed that timeline ${timeline} was left: ${messageOf(error)}`,
      { hint: 'It must not be started as a primary.' },
    );
  }
}

const slotsMs = 60_000;

export async function turnPrimary(run: SwitchoverRun): Promise<void> {
  const { peer } = run;
  const args = await request(run);
  try {
    // The kept connection may have ended meanwhile.
    const how = await peer.callAnew('become-standby', args, limitMs);
    run.turned.push({ name: peer.host, result: { kind: 'follows', how } });
  } catch (error) {
    run.server.deps.signal.throwIfAborted();
    run.turned.push(failed(peer.host, error));
    return;
  }
  run.remaining.push(...(await askRemaining(run)));
}

/** The slots that the old primary still has. Its earlier answer is as good, where it does not answer. */
async function askRemaining(run: SwitchoverRun): Promise<readonly Remark[]> {
  const { peer, systemIdentifier: cluster, facts } = run;
  try {
    return remainingSlots(await peer.callAnew('primary-facts', { cluster }, slotsMs), peer.host, 'is');
  } catch (error) {
    const { signal, log } = run.server.deps;
    signal.throwIfAborted();
    log.warning(`which replication slots remain on ${peer.host} is not known: ${messageOf(error)}`);
    return facts === undefined ? [] : remainingSlots(facts, peer.host, 'is');
  }
}

async function turnSibling(run: SwitchoverRun, { list }: SiblingFacts, sibling: Sibling): Promise<Turned> {
  const { target, answer } = sibling;
  const { name } = target;
  if (answer.kind === 'self') return failed(name, new Error('it is this host'));
  if (list?.kind !== 'known' || answer.kind !== 'answered') {
    const reason = 'reason' in answer ? answer.reason : 'it belongs to another cluster';
    return failed(name, new Error(reason));
  }
  if (isStopped(sibling) && run.stoppedBefore.includes(name)) {
    const { program, iniFile } = answer.command;
    const { host, port } = await request(run);
    const command = `${program} -C ${iniFile} --follow ${host.includes(':') ? `[${host}]` : host}:${port}`;
    return { name, result: { kind: 'left stopped', command } };
  }
  const { deps } = run.server;
  const args = await request(run);
  const used = await withSibling(deps, list.archiver, target, limitMs, (shell) =>
    callVerb(shell, answer.command, 'follow', args, limitMs),
  );
  if (used.kind !== 'used') return failed(name, new Error(used.reason));
  const result = used.value;
  if (result.kind !== 'answered') return failed(name, new Error(result.reason));
  return { name, result: { kind: 'follows', how: result.answer } };
}

/** All at once: one that does not follow keeps none of the others from it. */
export async function turnSiblings(run: SwitchoverRun, siblings: SiblingFacts): Promise<void> {
  const turned = siblings.siblings.map((sibling) =>
    turnSibling(run, siblings, sibling).catch((error: unknown) => failed(sibling.target.name, error)),
  );
  run.turned.push(...(await Promise.all(turned)));
  run.server.deps.signal.throwIfAborted();
}

export function describeTurned({ name, result }: Turned): string {
  if (result.kind === 'failed') return `${name} does not follow this host yet: ${result.reason}`;
  if (result.kind === 'left stopped')
    return `${name} was stopped before the switchover, and stays so. To start it, on that host: ${quoted(result.command)}`;
  const { by, lsn } = result.how;
  const how = by === 'streaming' ? 'streams from it' : 'replays its WAL from the archive';
  return `${name} follows this host: ${how}, up to LSN ${quoted(lsn)}`;
}
