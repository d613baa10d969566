/**
 * The questions that one host asks another: a verb with typed arguments, and an answer with typed fields. `cmd_standby --serve`
 * answers them (standby/actions/serve.ts); `call.ts` asks. Nothing else runs on another host at the request of a
 * change of roles, so that a key can be restricted to this table.
 */
import { isStreamSlot } from '../postgres/stream-slot.ts';
import { parseWalName } from '../postgres/wal-name.ts';
import { type Checked, type Guarded, is } from '../system/json.ts';
import { printable } from '../system/printable.ts';
import {
  type AnyArgument,
  type ArgumentKind,
  choice,
  cluster,
  host,
  lsn,
  port,
  timeline,
  token,
} from './arguments.ts';

type Guards = Parameters<typeof is.object>[0];
type Arguments = Readonly<Record<string, AnyArgument>>;

interface Verb<A extends Arguments, F extends Guards> {
  /** In the order in which they are written. */
  readonly arguments: A;
  readonly answer: F;
  /** It stops, starts or promotes a server, or makes it follow another one: a restricted key needs --roles for it. */
  readonly changesRole: boolean;
}

function verb<A extends Arguments, F extends Guards>(args: A, answer: F): Verb<A, F> {
  return { arguments: args, answer, changesRole: false };
}

function roleVerb<A extends Arguments, F extends Guards>(args: A, answer: F): Verb<A, F> {
  return { arguments: args, answer, changesRole: true };
}

const isLsnText = (value: unknown): value is string =>
  typeof value === 'string' && /^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/.test(value);

/** A number of bytes: JSON can also say one that is endless. */
const isAmount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0;

/** A path that another host gives us: rsync reads from there. */
const isAbsolutePath = (value: unknown): value is string =>
  typeof value === 'string' && value.startsWith('/') && printable(value) === value;

const isStreamSlotText = (value: unknown): value is string =>
  typeof value === 'string' && isStreamSlot(value);

const isWalNameText = (value: unknown): value is string =>
  typeof value === 'string' && parseWalName(value).kind !== 'not-wal';

/** SHA-256 in hexadecimal, where digests were asked for. */
const isDigest = is.optional(
  (value: unknown): value is string => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value),
);

/** A location in the WAL of a timeline. */
const isPlace = is.object({ timeline: is.number, lsn: isLsnText });

export type WalPlace = Guarded<typeof isPlace>;

/**
 * Whether a standby has replayed a timeline past the location where it was left: `before` if not; `diverged` if so;
 * `followed` if it is on the timeline that branched off, or on a later one; `unknown` if nothing proves either.
 */
const standing = is.oneOf('before', 'diverged', 'followed', 'unknown');

export type Standing = Guarded<typeof standing>;

/** How far a standby has come. A field is absent if this is unknown there. */
const progress = {
  systemIdentifier: is.optional(is.text),
  /** The state of the server there. */
  server: is.oneOf('recovering', 'production', 'starting', 'down', 'unknown', 'no-data'),
  segmentSize: is.optional(is.number),
  /** Where its recovery would start again: the WAL before it is needed no more. */
  restartpoint: is.optional(isPlace),
  /** pg_control proves that WAL of this timeline was replayed up to here; the server may be further. */
  proved: is.optional(isPlace),
  /** According to the server, which cannot say of which timeline. */
  replayed: is.optional(isLsnText),
  received: is.optional(isLsnText),
  /** For how many seconds its replay waits on purpose at each commit; 0 for none. */
  delay: is.optional(isAmount),
  /** Whether pg_control is that of a standby: only then are these locations WAL that it got from another server. */
  isStandby: is.optional(is.boolean),
  /** The timeline to which this host was promoted, by the mark of its archive. */
  promotedTo: is.optional(is.number),
  /** The history of that timeline, oldest first: each earlier timeline, and where it was left. */
  ancestry: is.optional(is.listOf(isPlace)),
  /** A -F999 or --switchover is about to promote this standby, or was ended meanwhile. The text is its own: no other run has it. */
  promotion: is.optional(is.text),
  /** The old primary of a switchover that was begun here and is not finished. */
  switchover: is.optional(is.text),
  /** The replication slot by which this standby streams from its primary, and will stream from the next one. */
  streamSlot: is.optional(isStreamSlotText),
  /** The host from which it streams by that slot, as its INI file names it. */
  streamsFrom: is.optional(is.text),
};

/** How a standby was seen to follow: it streams, or it has replayed WAL that came to its archive, up to that location. */
const followed = {
  by: is.oneOf('streaming', 'archive'),
  timeline: is.number,
  lsn: isLsnText,
};

/** Something that must be corrected first, and how. */
const isProblem = is.object({ message: is.text, hint: is.optional(is.text) });

/** A name that PostgreSQL accepts: it is repeated in SQL that people type. */
const isSlotName = (value: unknown): value is string =>
  typeof value === 'string' && /^[a-z0-9_]{1,63}$/.test(value);

/** See Slot in standby/server/slots.ts. */
const isSlot = is.object({
  name: isSlotName,
  kind: is.oneOf('physical', 'logical'),
  keepsWal: is.boolean,
  isCopy: is.boolean,
  isForFailover: is.boolean,
});

/** Where a server that was shut down has left its WAL: the record of its last checkpoint, and the first byte behind it. */
const isShutdown = is.object({ timeline: is.number, checkpoint: isLsnText, end: isLsnText });

export type Shutdown = Guarded<typeof isShutdown>;

export const verbs = {
  /** How far this standby has come. Changes nothing. */
  status: verb(
    {},
    {
      ...progress,
      /** A failover that takes the primary's role opens the server there, or has opened it and is not finished yet. */
      takesRole: is.optional(is.boolean),
      /** The file system of its archivedir, in bytes; `free` without what only root may use. */
      disk: is.optional(is.object({ bytes: isAmount, free: isAmount })),
      /** The major version of PostgreSQL in pgdata, as PG_VERSION has it. */
      version: is.optional(is.text),
    },
  ),
  /**
   * The same, and what its archivedir holds of the segments that contain `from` or later WAL, but nothing from before
   * its restartpoint; each of them whole. Changes nothing.
   */
  list: verb(
    { from: lsn },
    {
      ...progress,
      /** History files, and segments in the order of replay; absent if archivedir cannot be relied on. */
      names: is.optional(is.listOf(isWalNameText)),
      /**
       * Segments that it has replayed, of those that only its pg_wal holds, whole: its archivedir lacks them, and its own
       * recovery does not.
       */
      own: is.optional(is.listOf(isWalNameText)),
      /** Files there under such a name that are not what it says, and why. */
      faulty: is.optional(is.listOf(is.object({ name: isWalNameText, reason: is.text }))),
      /** Segments that contain this location or later WAL are not named, because the answer is limited. */
      incompleteFrom: is.optional(isLsnText),
    },
  ),
  /**
   * The segments of archivedir that contain `from` or later WAL, but nothing from before the restartpoint, on any timeline:
   * as they are, whole or not. Listed before the restartpoint was read: a segment from it on that is not named was not
   * there. Changes nothing.
   */
  inventory: verb(
    { from: lsn, digests: choice },
    {
      ...progress,
      /** In the order of their numbers; absent if archivedir cannot be relied on. */
      files: is.optional(is.listOf(is.object({ name: isWalNameText, size: is.number, sha256: isDigest }))),
      /** Segments that this host has moved into a directory of archivedir, where no recovery finds them. */
      aside: is.optional(is.listOf(isWalNameText)),
      /** Segments that contain this location or later WAL are not named, because the answer is limited. */
      incompleteFrom: is.optional(isLsnText),
    },
  ),
  /**
   * This timeline was left at this location, by the promotion of this host: from now on no WAL of it from behind there
   * is accepted, and what is here already is moved aside, so that no recovery finds it. It can be repeated.
   */
  'mark-left': verb(
    { timeline, lsn, host, cluster },
    {
      /** The mark that is in force: an earlier location stays. As in the sentinel. */
      mark: is.text,
      standing,
      /** The files that this call moved aside. */
      moved: is.listOf(is.text),
      /** All files of this timeline that lie aside, as `DIRECTORY/NAME` in archivedir. */
      aside: is.listOf(is.text),
    },
  ),
  /**
   * How this standby stands to the mark of this timeline that is in force here. What stands here against it is moved
   * aside; no mark is set, so that one which was taken back stays so.
   */
  'check-left': verb(
    { timeline, cluster },
    {
      /** As in the sentinel; absent if there is none, and then the standing as well. */
      mark: is.optional(is.text),
      standing: is.optional(standing),
      /** The files that this call moved aside. */
      moved: is.listOf(is.text),
    },
  ),
  /** Takes such a mark back, and puts the files back that were moved aside. It can be repeated. */
  'unmark-left': verb(
    { timeline, cluster },
    {
      /** The mark that was there, as in the sentinel. */
      mark: is.optional(is.text),
      /** The files that were put back. */
      returned: is.listOf(is.text),
      /** Files that stay aside, as `DIRECTORY/NAME`, because other bytes now stand under their name. */
      kept: is.listOf(is.text),
    },
  ),
  /**
   * The names of whole segments that this standby has, on any timeline, from the one with this location on. Another
   * standby that lacks them fetches them before it is promoted. Changes nothing.
   */
  'wal-from': verb(
    { lsn },
    {
      ...progress,
      archived: is.listOf(is.text),
      /** Some in its archive are not named, because the answer is limited. */
      isCut: is.optional(is.boolean),
      /** Those in the queues of cmd_archiver of its host; absent if they are not known. */
      queued: is.optional(is.listOf(is.text)),
      /** Those that are only in its data directory, in `walDirectory`. */
      inPgWal: is.listOf(is.text),
      walDirectory: is.optional(is.text),
    },
  ),
  /**
   * This standby is to follow the server of this host and port, which is on this timeline. Answers once it is seen to
   * follow. It can be repeated.
   */
  follow: roleVerb({ host, port, cluster, timeline }, followed),
  /** The same for a primary that was stopped: it becomes a standby, if that server's history contains all its WAL. */
  'become-standby': roleVerb({ host, port, cluster, timeline }, followed),
  /** The facts about this host's server as the primary, and the obstacles to it as a standby. Changes nothing. */
  'primary-facts': verb(
    { cluster },
    {
      server: is.oneOf('recovering', 'production', 'starting', 'stopped'),
      /** The timeline that it writes or, if it is stopped, wrote last. */
      timeline: is.number,
      segmentSize: is.number,
      /** The major version, as PG_VERSION has it. */
      version: is.text,
      walDirectory: isAbsolutePath,
      /** Where WAL will arrive once it is a standby. */
      archivedir: isAbsolutePath,
      /** The name with which it will stream once it is a standby; absent if it will read its archive only. */
      streamsAs: is.optional(is.text),
      /** The replication slot by which it will stream then. */
      streamSlot: is.optional(isStreamSlotText),
      /** Only if its last stop was a clean one. */
      shutdown: is.optional(isShutdown),
      /** The host for which a switchover stopped it. */
      stoppedFor: is.optional(is.text),
      /** Replication slots but ours; none of a server that does not answer. */
      slots: is.listOf(isSlot),
      /** It takes over the slots of its primary once it is a standby (`sync_replication_slots`). */
      syncsSlots: is.optional(is.boolean),
      synchronousStandbyNames: is.optional(is.text),
      problems: is.listOf(isProblem),
    },
  ),
  /**
   * Whether a standby on this host could follow that server, by the INI file here, which it would change. Changes
   * nothing.
   */
  'try-follow': verb(
    { host, port, cluster },
    {
      problems: is.listOf(isProblem),
      /** The name with which it would stream; absent if it would read its archive only. */
      streamsAs: is.optional(is.text),
      /**
       * The settings that must not be lower on a hot standby than on its primary, as it runs or will be started; absent if
       * unknown.
       */
      limits: is.mapOf(is.number),
      /** The replication slot with which it would stream (`primary_slot_name`), if that is none of ours. */
      slot: is.optional(isSlotName),
    },
  ),
  /**
   * Before this primary is stopped for a switchover: makes the archive that it will have as a standby, a checkpoint, and
   * ends the current segment. `lsn`: what a standby must have replayed then.
   */
  'prepare-switchover': roleVerb({ timeline, cluster }, { lsn: isLsnText }),
  /** How many clients are in the middle of a transaction. Changes nothing. */
  'open-transactions': verb({ cluster }, { count: is.number }),
  /**
   * Stops this primary so that the host can take its role: from then on it starts as a standby only. It can be repeated, by
   * the same host alone. `token` names the run that asks last: no other run may have the primary back.
   */
  'stop-primary': roleVerb({ timeline, host, cluster, token }, { shutdown: isShutdown }),
  /** Takes that back, as long as no other server was promoted: starts it as the primary again. It can be repeated. */
  'resume-primary': roleVerb(
    { timeline, cluster, token },
    {
      wasStopped: is.boolean,
      /** Another run has stopped it since, for this host: nothing was changed. */
      heldBy: is.optional(is.text),
    },
  ),
} as const;

/** The one line of standard output that is the answer begins with this; JSON follows. */
export const answerMark = 'answer: ';

/** In place of a verb: the calls come one after the other, each as a line of standard input. */
export const servesLines = '-';
/** The request of a restricted key for the same. */
export const callsWord = 'calls';
export type VerbName = keyof typeof verbs;

/** The values of a verb's arguments by name. */
export type ArgumentsOf<Name extends VerbName> = {
  readonly [
    Each in keyof (typeof verbs)[Name]['arguments']
  ]: (typeof verbs)[Name]['arguments'][Each] extends ArgumentKind<infer T> ? T : never;
};

export type AnswerOf<Name extends VerbName> = Checked<(typeof verbs)[Name]['answer']>;
