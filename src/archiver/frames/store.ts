/**
 * The frames of WAL that waits for several standbys: each is made once, used by every lane, and removed when no lane needs it any
 * more. Nothing relies on them, so they are not flushed; a bound keeps them few.
 */
import { join } from 'node:path';
import { fileNameOf } from '../../postgres/queued-name.ts';
import type { Log } from '../../system/log.ts';
import { type FileIdentity, isUnchanged, type WalFile } from '../wal/wal-file.ts';
import { type Frame, type FrameTools, makeFrame } from './frame.ts';

export interface FrameStoreOptions {
  readonly tools: FrameTools;
  /** It exists, and is empty. */
  readonly directory: string;
  /** How many are made at once. */
  readonly slots: number;
  /** The room for frames, in bytes. One that is larger is made alone. */
  readonly maxBytes: number;
  /** Frames of so many bytes are kept in memory: each lane would read them again. */
  readonly keptBytes: number;
  /** Whether the disk has room for so many bytes. */
  readonly hasRoom: (bytes: number) => Promise<boolean>;
  /** A process of ours begins to read this file, or has ended. */
  readonly reads: (file: WalFile, isReading: boolean) => void;
  readonly remove: (path: string) => Promise<void>;
  readonly monotonicMs: () => number;
  readonly log: Pick<Log, 'debug'>;
}

interface Entry {
  readonly file: WalFile;
  /** Those of the file, and of copies with the same bytes. */
  readonly identities: FileIdentity[];
  readonly stop: AbortController;
  /** Settles when it is known whether there is a frame. */
  readonly settled: Promise<void>;
  readonly settle: () => void;
  state: 'waiting' | 'in-work' | 'made' | 'none';
  frame: Frame | undefined;
  /** Transfers that read the frame. */
  users: number;
}

export type FrameStore = ReturnType<typeof createFrameStore>;

/** After a failure, files travel as they are for so long. */
const restMs = 60_000;

function entryOf(file: WalFile): Entry {
  let settle = (): void => undefined;
  const settled = new Promise<void>((resolve) => (settle = resolve));
  return {
    file,
    identities: [file.identity],
    stop: new AbortController(),
    settled,
    settle,
    state: 'waiting',
    frame: undefined,
    users: 0,
  };
}

/** The room that an entry takes at most: a frame is smaller than its file. */
function roomOf({ frame, state, file }: Entry): number {
  if (state === 'none') return 0;
  return frame?.bytes ?? Number(file.identity.size);
}

export function createFrameStore(options: FrameStoreOptions) {
  const { tools, directory, slots, maxBytes, keptBytes, hasRoom, reads, remove, monotonicMs, log } = options;
  const entries = new Map<string, Entry>();
  let inWork = 0;
  let restUntilMs = -Infinity;
  let removing: Promise<unknown> = Promise.resolve();

  const find = (file: WalFile): Entry | undefined => {
    const entry = entries.get(file.name.text);
    return entry?.identities.some((each) => isUnchanged(each, file.identity)) === true ? entry : undefined;
  };

  const finish = (entry: Entry, frame: Frame | undefined): void => {
    entry.frame = frame;
    entry.state = frame === undefined ? 'none' : 'made';
    entry.settle();
  };

  const rest = (reason: string): void => {
    log.debug(`no frames are made for ${restMs / 1000} s: ${reason}`);
    restUntilMs = monotonicMs() + restMs;
  };

  const fail = (entry: Entry, reason: string): void => {
    if (!entry.stop.signal.aborted) rest(`${entry.file.name.text}: ${reason}`);
    finish(entry, undefined);
  };

  const discard = ({ frame }: Entry): void => {
    if (frame === undefined) return;
    // A file that cannot be removed now goes with its directory.
    removing = removing.then(() => remove(frame.path)).catch(() => undefined);
  };

  /** zstd makes several at once, so that each gets its part. */
  const mayKeep = (): number => {
    const kept = [...entries.values()].reduce((sum, { frame }) => sum + (frame?.content?.length ?? 0), 0);
    return Math.max(0, keptBytes - kept) / slots;
  };

  const make = async (entry: Entry): Promise<void> => {
    const { file, stop } = entry;
    const target = join(directory, fileNameOf({ name: file.name, isFrame: true }));
    // One of the same name would be removed after this one was made.
    await removing;
    if (!(await hasRoom(Number(file.identity.size)).catch(() => false))) {
      fail(entry, 'l_archivedir has no room for it');
      return;
    }
    const run: FrameTools['run'] = (command, more) => tools.run(command, { ...more, signal: stop.signal });
    reads(file, true);
    const made = await makeFrame({ ...tools, run }, file, target, mayKeep());
    reads(file, false);
    if (made.kind === 'none') fail(entry, made.reason);
    else finish(entry, made.frame);
  };

  const end = (name: string, entry: Entry): void => {
    inWork -= 1;
    if (entry.stop.signal.aborted) drop(name, entry);
    work();
  };

  const work = (): void => {
    for (const [name, entry] of entries) {
      if (inWork >= slots) return;
      if (entry.state !== 'waiting') continue;
      entry.state = 'in-work';
      inWork += 1;
      void make(entry).finally(() => {
        end(name, entry);
      });
    }
  };

  const drop = (name: string, entry: Entry): void => {
    entry.stop.abort();
    // zstd still runs: until it has ended, none other may write there.
    if (entry.state === 'in-work') return;
    entries.delete(name);
    if (entry.state === 'waiting') finish(entry, undefined);
    else discard(entry);
  };

  return {
    /** Makes a frame of this file, after those that were asked for before, if there is room for it. */
    ask: (file: WalFile): void => {
      if (entries.has(file.name.text) || file.name.kind !== 'segment' || monotonicMs() < restUntilMs) return;
      const used = [...entries.values()].reduce((sum, entry) => sum + roomOf(entry), 0);
      if (used > 0 && used + Number(file.identity.size) > maxBytes) return;
      entries.set(file.name.text, entryOf(file));
      work();
    },
    /** `coming`: it is asked for. */
    now: (file: WalFile): Frame | 'coming' | undefined => {
      const entry = find(file);
      if (entry === undefined || entry.state === 'none') return undefined;
      return entry.frame ?? 'coming';
    },
    /** The frame that was asked for; undefined if there is none. */
    settled: async (file: WalFile): Promise<Frame | undefined> => {
      const entry = find(file);
      await entry?.settled;
      return entry?.frame;
    },
    /** A copy with the same bytes: what is said of the file holds for it, too. */
    noteCopy: (file: WalFile, copy: FileIdentity): void => {
      find(file)?.identities.push(copy);
    },
    /** While a transfer uses it, a frame is not removed. */
    use: (file: WalFile, change: 1 | -1): void => {
      const entry = find(file);
      if (entry !== undefined) entry.users += change;
    },
    /** Forgets the frames under the other names. */
    keep: (isNeeded: (name: string) => boolean): void => {
      for (const [name, entry] of entries) if (entry.users === 0 && !isNeeded(name)) drop(name, entry);
    },
    /** Gives up what is not made yet, and makes no more for a while. */
    rest: (reason: string): void => {
      rest(reason);
      for (const [name, entry] of entries)
        if (entry.state === 'waiting' || entry.state === 'in-work') drop(name, entry);
    },
    /** Ends what is being made. */
    end: (): void => {
      for (const [name, entry] of entries) drop(name, entry);
    },
  };
}
