import { createHash } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import type { StandbyTarget } from '../../config/options-archiver.ts';
import type { LeftTimeline } from '../../postgres/left-timeline.ts';
import { quoted } from '../../system/printable.ts';
import {
  lightCompression,
  remotePath,
  rsyncCommand,
  rsyncEnvironment,
  rsyncOutcome,
  type RsyncProgram,
  withoutCompression,
} from '../../system/rsync.ts';
import { type Sentinel, sentinelName } from '../../system/sentinel.ts';
import { refusalOf, type RemoteShell } from '../../system/ssh.ts';
import { archiveWork } from '../../verbs/archive-requests.ts';
import { type DeliveryPlace, inboxOf, nameOfLane } from '../../verbs/scripts/delivery.ts';
import type { ArchiverDeps } from '../deps.ts';
import { contentBytes, type Frame, type Outgoing } from '../frames/frame.ts';
import type { FrameUse } from '../frames/frame-use.ts';
import { isStill } from '../wal/wal-file.ts';
import { type Answers, type FileAnswer, readAnswers, troubleOf } from './answers.ts';
import { type OwnPast, screen, type Screened } from './left-guard.ts';
import type { TakeFrames, TakeSegment } from './take-segment.ts';
import { type Concern, failed, type Trouble } from './trouble.ts';

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
  /** The greeting has shown that single segments can be taken there without rsync. */
  readonly takesSegments?: boolean;
  /** The greeting has shown that frames can be unpacked there. */
  readonly unpacks?: boolean;
  readonly frames?: FrameUse | undefined;
  /** Brings a segment that travels alone; without it, rsync does. */
  readonly takeSegment?: TakeSegment | undefined;
  /** Brings frames over a fast link; without it, rsync does. */
  readonly takeFrames?: TakeFrames | undefined;
  /** Aborted when a transfer must end: PostgreSQL waits for it no longer. */
  readonly stopTransfer?: AbortSignal;
  /** The timelines that this server has left itself, with what it says of a file that is skipped for that reason. */
  readonly ownPast?: OwnPast | undefined;
  /** A problem that the operator must know of, although this standby takes WAL. */
  readonly concern?: Concern | undefined;
  /** The marks of this host of which it is not known yet whether the standby has followed: see lane/standing.ts. */
  readonly undecided?: readonly LeftTimeline[];
  /** Asked before bytes are sent and before a file can get its name; see lane/leadership.ts. */
  readonly mayDeliver?: (() => Promise<Trouble | undefined>) | undefined;
  /** Call this before a file can get its name. */
  readonly noteDelivery: () => Promise<void>;
  /** Called with the files that the standby has secured. */
  readonly noteStored?: (files: readonly Outgoing[]) => void;
  /** Called with a resume request that is found while files are delivered. */
  readonly noteRequest?: ((request: string) => Promise<unknown>) | undefined;
}

/** Files of one directory, in the order in which they get their names. */
export interface Batch {
  readonly directory: string;
  /** Either all of them have a frame, or none. */
  readonly files: readonly Outgoing[];
  /** Compress lightly, because the network is faster than the processors. */
  readonly compressesLightly?: boolean;
  /** Nothing else waits for this standby. */
  readonly isAlone?: boolean;
}

/** How a transfer ended. */
export interface Transfer {
  readonly trouble: Trouble | undefined;
  /** Its duration says something about the speed of the link. */
  readonly isTelling: boolean;
}

export interface BatchResult {
  /** The files that are safe at the standby: complete, flushed, under their names. Always the first ones of the batch. */
  readonly delivered: readonly Outgoing[];
  /** The reason why the other files are not safe. */
  readonly trouble: Trouble | undefined;
}

/** The answers of a standby that can take WAL. */
export interface Hello extends Answers {
  readonly trouble: undefined;
  readonly sentinel: Sentinel;
}

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

/** The words of a lane for its requests. */
function laneWords(place: DeliveryPlace) {
  const { systemIdentifier, run, mode } = place;
  return { cluster: systemIdentifier, lane: nameOfLane(place), run, mode };
}

/** Checks the standby's archive directory. @returns the reason why it cannot take WAL as `trouble` */
export async function sayHello(
  delivery: Pick<Delivery, 'shell' | 'place' | 'standby'>,
  names: readonly string[],
): Promise<Hello | { readonly trouble: Trouble }> {
  const { shell, place, standby } = delivery;
  const work = archiveWork('hello', place, { ...laneWords(place), names });
  const answer = await shell.run(work, { limitMs: standby.ssh_timeout * 1000 });
  if (answer.kind === 'lost') return { trouble: lost(answer.reason) };
  const refusal = refusalOf(answer);
  if (refusal !== undefined) return { trouble: failed(`the standby refused to be greeted: ${refusal}`) };
  const { trouble, sentinel, ...answers } = readAnswers(answer.lines, place.archivedir);
  if (trouble !== undefined) return { trouble };
  if (answers.isReady)
    return sentinel === undefined
      ? { trouble: unreadable(place.archivedir) }
      : { ...answers, trouble, sentinel };
  const said = quoted([...answer.lines, shell.stderr()].join(' '));
  return { trouble: failed(`the standby's shell gave no clear answer: ${said}`) };
}

/** PostgreSQL may recycle a segment as soon as another call has archived it: rsync may then have read something else. */
async function findChanged({ files }: Batch): Promise<Trouble | undefined> {
  for (const file of files)
    if (!(await isStill(file))) return failed(`${file.path} changed while it was sent`);
  return undefined;
}

/** The frames of a batch; undefined if its files travel as they are. */
function framesOf({ files }: Batch): readonly Frame[] | undefined {
  const frames = files.flatMap(({ frame }) => (frame === undefined ? [] : [frame]));
  return frames.length === files.length ? frames : undefined;
}

/** The files that rsync sends for a batch, with its flags. */
function cargoOf(batch: Batch, rsync: RsyncProgram) {
  const frames = framesOf(batch);
  const [first] = frames ?? [];
  if (frames === undefined || first === undefined) {
    const names = batch.files.map(({ name }) => name.text);
    const flags = batch.compressesLightly === true ? lightCompression(rsync.flags) : [];
    return { directory: batch.directory, names, rsync, flags };
  }
  const plain = { ...rsync, flags: withoutCompression(rsync.flags) };
  const names = frames.map(({ path }) => basename(path));
  return { directory: dirname(first.path), names, rsync: plain, flags: [] };
}

async function transfer(
  deps: ArchiverDeps,
  delivery: Delivery,
  batch: Batch,
  limitMs: number,
): Promise<Trouble | undefined> {
  const { shell, place, standby } = delivery;
  const { directory, names, rsync, flags } = cargoOf(batch, delivery.rsync);
  // With a restricted key the other end enters its archive itself.
  const above = shell.served === undefined ? `${delivery.directory ?? place.archivedir}/` : '';
  const target = remotePath(shell, rsync, `${above}${inboxOf(place)}/`);
  // Equal size and time prove nothing, so rsync may skip nothing. A part of a file that exists already is completed.
  const ours = ['--times', '--ignore-times', '--partial', '--from0', '--files-from=-', ...flags];
  // rsync 3.5 follows no symbolic link of another owner.
  const source = await realpath(directory).catch(() => directory);
  const command = rsyncCommand(shell, rsync, standby.ssh_timeout, [...ours, `${source}/`, target]);
  const input = names.map((name) => `${name}\0`).join('');
  const outcome = rsyncOutcome(await deps.run(command, { limitMs, input, env: rsyncEnvironment(rsync) }));
  switch (outcome.kind) {
    case 'whole':
      return findChanged(batch);
    case 'vanished':
      return failed('rsync: files vanished while they were sent');
    case 'no-space':
      return { kind: 'no-space', reason: `no space left in ${place.archivedir} (${outcome.reason})` };
    case 'timeout':
      return { kind: 'slow', reason: outcome.reason };
    case 'partial':
    case 'failed':
      return failed(outcome.reason);
  }
}

/** Whether the standby has the only file of a batch in its inbox, without rsync. */
async function isTaken({ takeSegment, stopTransfer }: Delivery, batch: Batch): Promise<boolean> {
  const [file, ...more] = batch.files;
  if (takeSegment === undefined || batch.isAlone !== true || file === undefined || more.length > 0)
    return false;
  return takeSegment(file, stopTransfer);
}

/** The same for the frames of a batch. Over a slow link, rsync does it: it completes what arrived in part. */
async function areFramesTaken(
  { takeFrames, stopTransfer }: Delivery,
  batch: Batch,
  limitMs: number,
): Promise<boolean> {
  if (takeFrames === undefined || batch.compressesLightly !== true || framesOf(batch) === undefined)
    return false;
  return takeFrames(batch.files, limitMs, stopTransfer);
}

/** Transfers the bytes of a batch to the standby; no file has its final name there yet. */
export async function transferBatch(
  deps: ArchiverDeps,
  delivery: Delivery,
  batch: Batch,
  limitMs: number,
): Promise<Transfer> {
  const { files, accepted, trouble } = screen(delivery, batch.files);
  const isTelling = false;
  if (files.length === 0) return { trouble: accepted.length === 0 ? trouble : undefined, isTelling };
  const forbidden = await delivery.mayDeliver?.();
  if (forbidden !== undefined) return { trouble: forbidden, isTelling };
  const wanted = { ...batch, files };
  if (await isTaken(delivery, wanted)) return { trouble: await findChanged(wanted), isTelling };
  if (await areFramesTaken(delivery, wanted, limitMs))
    return { trouble: await findChanged(wanted), isTelling: true };
  if (delivery.stopTransfer?.aborted === true) return { trouble: failed('its time was over'), isTelling };
  return { trouble: await transfer(deps, delivery, wanted, limitMs), isTelling: true };
}

function judge(answers: readonly FileAnswer[], batch: Batch, standby: string): BatchResult {
  const delivered: Outgoing[] = [];
  for (const [index, file] of batch.files.entries()) {
    const { text: name } = file.name;
    const answer = answers[index];
    const trouble =
      answer?.name === name ? troubleOf(answer, standby) : failed(`the standby gave no answer about ${name}`);
    if (trouble !== undefined) return { delivered, trouble };
    delivered.push(file);
  }
  return { delivered, trouble: undefined };
}

/** Enough for comparing, flushing and computing digests on the slowest acceptable disk. */
const commitBytesPerMs = 5_000;

/**
 * Makes the standby secure a batch whose bytes have arrived there. Nothing counts as delivered before the standby has
 * confirmed it in this answer (doc/architecture.md, "Delivery").
 */
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

/** One exchange for all of it, also where the files must be unpacked first. */
function commitWork({ place, marks = [] }: Delivery, batch: Batch) {
  const words = { ...laneWords(place), marks };
  const framed = batch.files.flatMap(({ name, frame }) =>
    frame === undefined ? [] : [{ name: name.text, size: frame.size, digest: frame.digest }],
  );
  if (framed.length === batch.files.length)
    return archiveWork('commit-frames', place, { ...words, files: framed });
  const files = batch.files.map((file) => ({ name: file.name.text, size: contentBytes(file) }));
  return archiveWork('commit', place, { ...words, files });
}

/** Nothing was stored. */
function refuseFrames({ frames, standby }: Delivery, said: string): Trouble {
  const reason = `${standby.name} could not unpack what it was sent: ${quoted(said)}`;
  frames?.rest(reason);
  return { ...failed(reason), isOfFrames: true };
}

async function commitFiles(delivery: Delivery, batch: Batch): Promise<BatchResult> {
  const { shell, place, standby } = delivery;
  // The transfer may have taken long.
  const forbidden = await delivery.mayDeliver?.();
  if (forbidden !== undefined) return { delivered: [], trouble: forbidden };
  const bytes = batch.files.reduce((sum, file) => sum + contentBytes(file), 0);
  const limitMs = standby.ssh_timeout * 1000 + Math.ceil(bytes / commitBytesPerMs);
  await delivery.noteDelivery();
  const answer = await shell.run(commitWork(delivery, batch), { limitMs });
  if (answer.kind === 'lost') return { delivered: [], trouble: lost(answer.reason) };
  const refusal = refusalOf(answer);
  if (refusal !== undefined)
    return { delivered: [], trouble: failed(`the standby refused to store the files: ${refusal}`) };
  const { files: answers, trouble, resumeRequest, notUnpacked } = readAnswers(answer.lines, place.archivedir);
  if (resumeRequest !== undefined) await delivery.noteRequest?.(resumeRequest);
  if (trouble !== undefined) return { delivered: [], trouble };
  if (notUnpacked !== undefined) return { delivered: [], trouble: refuseFrames(delivery, notUnpacked) };
  const result = judge(answers, batch, standby.name);
  if (place.mode === 'store') delivery.noteStored?.(result.delivered);
  return result;
}

/** Sends one batch over an open connection and makes the standby secure it. */
export async function sendBatch(
  deps: ArchiverDeps,
  delivery: Delivery,
  batch: Batch,
  limitMs: number,
): Promise<BatchResult> {
  const { trouble } = await transferBatch(deps, delivery, batch, limitMs);
  return trouble === undefined ? commitBatch(delivery, batch) : { delivered: [], trouble };
}
