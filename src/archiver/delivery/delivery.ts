import { createHash } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import type { StandbyTarget } from '../../config/options-archiver.ts';
import type { SegmentName } from '../../postgres/wal-name.ts';
import { quoted } from '../../system/printable.ts';
import {
  lightCompression,
  remotePath,
  rsyncCommand,
  rsyncEnvironment,
  rsyncOutcome,
  type RsyncProgram,
} from '../../system/rsync.ts';
import { type Sentinel, sentinelName } from '../../system/sentinel.ts';
import type { RemoteShell } from '../../system/ssh.ts';
import type { ArchiverDeps } from '../deps.ts';
import { identityOf, isUnchanged, type WalFile } from '../wal/wal-file.ts';
import { type FileAnswer, readCommitAnswers, readGreeting, troubleOf } from './answers.ts';
import { type OwnPast, screen, type Screened } from './left-guard.ts';
import { commitScript, type DeliveryPlace, helloScript, inboxOf } from './scripts.ts';
import type { Concern, Trouble } from './trouble.ts';

/** An open connection to a standby that is ready to take WAL. */
export interface Delivery {
  readonly standby: StandbyTarget;
  readonly shell: RemoteShell;
  readonly rsync: RsyncProgram;
  readonly place: DeliveryPlace;
  /**
   * archivedir without symbolic links: rsync 3.5 follows none of another owner. Undefined: the path in the INI file.
   */
  readonly directory?: string | undefined;
  /** As it was when the standby was greeted. */
  readonly sentinel?: Sentinel | undefined;
  /** The texts of its `left:` lines. */
  readonly marks?: readonly string[];
  /** The timelines that this server has left itself, with what it says of a file that is skipped for that reason. */
  readonly ownPast?: OwnPast | undefined;
  /** What the operator must know of this standby, although it takes WAL. */
  readonly concern?: Concern | undefined;
  /** Call this before a file can get its name. */
  readonly noteDelivery: () => Promise<void>;
  /** Called with a resume request that is found while files are delivered. */
  readonly noteRequest?: ((request: string) => Promise<void>) | undefined;
}

/** Files of one directory, in the order in which they get their names. */
export interface Batch {
  readonly directory: string;
  readonly files: readonly WalFile[];
  /** The link is faster than the processors: compress lightly. */
  readonly compressesLightly?: boolean;
}

export interface BatchResult {
  /** The files that are safe at the standby: complete, flushed, under their names. Always the first ones of the batch. */
  readonly delivered: readonly WalFile[];
  /** The reason why the other files are not safe. */
  readonly trouble: Trouble | undefined;
}

export type HelloResult =
  | {
      readonly kind: 'ready';
      readonly resumeRequest: string | undefined;
      readonly directory: string | undefined;
      readonly sentinel: Sentinel;
      readonly marks: readonly string[];
      readonly newest: readonly SegmentName[];
    }
  | { readonly kind: 'trouble'; readonly trouble: Trouble };

/**
 * A name for this primary's lane in the standby's `.incoming`: readable, and different from that of any other
 * primary.
 */
export function laneId(hostName: string, layoutRoot: string, standby: string): string {
  const hash = createHash('sha256').update(`${hostName}\0${layoutRoot}\0${standby}`).digest('hex');
  return `${hostName.replace(/[^A-Za-z0-9.-]/g, '_').slice(0, 60)}.${hash.slice(0, 12)}`;
}

function lost(reason: string): Trouble {
  return { kind: 'unreachable', reason: `the connection was lost: ${reason}` };
}

/** A line that cannot be read might forbid any file. */
function unreadable(archivedir: string): Trouble {
  return {
    kind: 'unfit',
    reason: `the sentinel ${archivedir}/${sentinelName} has a line that is not understood`,
    hint: 'On the standby, correct that line: "left: TIMELINE LSN HOST", or "promoted_at_timeline: NUMBER".',
  };
}

export async function sayHello(
  delivery: Delivery,
  names: readonly string[],
  limitMs: number,
): Promise<HelloResult> {
  const { shell, place } = delivery;
  const answer = await shell.run(helloScript(place, names), { limitMs });
  if (answer.kind === 'lost') return { kind: 'trouble', trouble: lost(answer.reason) };
  const greeting = readGreeting(answer.lines, place.archivedir);
  if (greeting.trouble !== undefined) return { kind: 'trouble', trouble: greeting.trouble };
  if (greeting.isReady) {
    const { resumeRequest, directory, sentinel, marks, newest } = greeting;
    if (sentinel !== undefined) return { kind: 'ready', resumeRequest, directory, sentinel, marks, newest };
    return { kind: 'trouble', trouble: unreadable(place.archivedir) };
  }
  const reason = `the standby's shell gave no clear answer: ${quoted([...answer.lines, shell.stderr()].join(' '))}`;
  return { kind: 'trouble', trouble: { kind: 'failed', reason } };
}

async function transfer(
  deps: ArchiverDeps,
  delivery: Delivery,
  batch: Batch,
  limitMs: number,
): Promise<Trouble | undefined> {
  const { shell, rsync, place, standby } = delivery;
  const target = remotePath(shell, rsync, `${delivery.directory ?? place.archivedir}/${inboxOf(place)}/`);
  // Equal size and time prove nothing, so rsync may skip nothing. A part of a file that exists already is completed.
  const ours = ['--times', '--ignore-times', '--partial', '--from0', '--files-from=-'];
  if (batch.compressesLightly === true) ours.push(...lightCompression(rsync.flags));
  // rsync 3.5 follows no symbolic link of another owner.
  const source = await realpath(batch.directory).catch(() => batch.directory);
  const command = rsyncCommand(shell, rsync, standby.ssh_timeout, [...ours, `${source}/`, target]);
  const input = batch.files.map((file) => `${file.name.text}\0`).join('');
  const outcome = rsyncOutcome(await deps.run(command, { limitMs, input, env: rsyncEnvironment(rsync) }));
  switch (outcome.kind) {
    case 'whole':
      return undefined;
    case 'vanished':
      return { kind: 'failed', reason: 'rsync: files vanished while they were sent' };
    case 'no-space':
      return { kind: 'no-space', reason: `no space left in ${place.archivedir} (${outcome.reason})` };
    case 'timeout':
      return { kind: 'slow', reason: outcome.reason };
    case 'partial':
    case 'failed':
      return { kind: 'failed', reason: outcome.reason };
  }
}

/** PostgreSQL may recycle a segment as soon as another call has archived it: rsync may then have read something else. */
async function findChanged(batch: Batch): Promise<Trouble | undefined> {
  for (const file of batch.files) {
    const now = await identityOf(file.path).catch(() => undefined);
    if (now === undefined || !isUnchanged(now, file.identity)) {
      return { kind: 'failed', reason: `${file.path} changed while it was sent` };
    }
  }
  return undefined;
}

function judge(answers: readonly FileAnswer[], batch: Batch, standby: string): BatchResult {
  const delivered: WalFile[] = [];
  for (const [index, file] of batch.files.entries()) {
    const answer = answers[index];
    if (answer?.name !== file.name.text) {
      return {
        delivered,
        trouble: { kind: 'failed', reason: `the standby gave no answer about ${file.name.text}` },
      };
    }
    const trouble = troubleOf(answer, standby);
    if (trouble !== undefined) return { delivered, trouble };
    delivered.push(file);
  }
  return { delivered, trouble: undefined };
}

/** Enough for comparing, flushing and computing digests on the slowest acceptable disk. */
const commitBytesPerMs = 5_000;

/** Makes the standby secure a batch whose bytes have arrived there. */
export async function commitBatch(delivery: Delivery, batch: Batch): Promise<BatchResult> {
  const screened = screen(delivery, batch.files);
  const { files } = screened;
  const sent: BatchResult =
    files.length === 0
      ? { delivered: [], trouble: undefined }
      : await commitFiles(delivery, { ...batch, files });
  const whole = withSkipped(screened, sent);
  const { ownPast } = delivery;
  for (const { file, mark } of screened.skipped)
    if (whole.delivered.includes(file)) ownPast?.noteSkipped(file.name.text, mark);
  return whole;
}

/** The outcome of a batch of which some files need no delivery. */
function withSkipped({ accepted, files, trouble }: Screened, sent: BatchResult): BatchResult {
  const firstFailed = files[sent.delivered.length];
  if (firstFailed === undefined) return { delivered: accepted, trouble: sent.trouble ?? trouble };
  return { delivered: accepted.slice(0, accepted.indexOf(firstFailed)), trouble: sent.trouble };
}

async function commitFiles(delivery: Delivery, batch: Batch): Promise<BatchResult> {
  const { shell, place, standby } = delivery;
  const files = batch.files.map(({ name, identity }) => ({ name: name.text, size: Number(identity.size) }));
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  const limitMs = standby.ssh_timeout * 1000 + Math.ceil(bytes / commitBytesPerMs);
  await delivery.noteDelivery();
  const answer = await shell.run(commitScript(place, files, delivery.marks ?? []), { limitMs });
  if (answer.kind === 'lost') return { delivered: [], trouble: lost(answer.reason) };
  const { files: answers, trouble, resumeRequest } = readCommitAnswers(answer.lines, place.archivedir);
  if (resumeRequest !== undefined) await delivery.noteRequest?.(resumeRequest);
  return trouble === undefined ? judge(answers, batch, standby.name) : { delivered: [], trouble };
}

/** Transfers the bytes of a batch to the standby; no file has its final name there yet. */
export async function transferBatch(
  deps: ArchiverDeps,
  delivery: Delivery,
  batch: Batch,
  limitMs: number,
): Promise<Trouble | undefined> {
  const { files, accepted, trouble } = screen(delivery, batch.files);
  if (files.length === 0) return accepted.length === 0 ? trouble : undefined;
  const sent = { ...batch, files };
  return (await transfer(deps, delivery, sent, limitMs)) ?? findChanged(sent);
}

/**
 * Sends one batch over an open connection and makes the standby secure it. Nothing counts as delivered before the
 * standby has confirmed it in the commit's answer (doc/architecture.md, "Delivery").
 */
export async function sendBatch(
  deps: ArchiverDeps,
  delivery: Delivery,
  batch: Batch,
  limitMs: number,
): Promise<BatchResult> {
  const trouble = await transferBatch(deps, delivery, batch, limitMs);
  if (trouble !== undefined) return { delivered: [], trouble };
  return commitBatch(delivery, batch);
}
