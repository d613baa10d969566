/**
 * What one host asks of another: a verb with typed arguments, and an answer with typed fields. `cmd_standby --serve`
 * answers them (standby/actions/serve.ts); `call.ts` asks. Nothing else runs on another host at the request of a
 * change of roles, so that a key can be restricted to this table.
 */
import { type Checked, type Guarded, is } from '../system/json.ts';
import type { ArgumentKind } from './arguments.ts';

type Guards = Parameters<typeof is.object>[0];
type Arguments = Readonly<Record<string, ArgumentKind<never>>>;

interface Verb<A extends Arguments, F extends Guards> {
  /** In the order in which they are written. */
  readonly arguments: A;
  readonly answer: F;
}

function verb<A extends Arguments, F extends Guards>(args: A, answer: F): Verb<A, F> {
  return { arguments: args, answer };
}

const isLsnText = (value: unknown): value is string =>
  typeof value === 'string' && /^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/.test(value);

/** A location in the WAL of a timeline. */
const isPlace = is.object({ timeline: is.number, lsn: isLsnText });

export type WalPlace = Guarded<typeof isPlace>;

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
  /** According to the server; of which timeline, it cannot tell. */
  replayed: is.optional(isLsnText),
  received: is.optional(isLsnText),
};

export const verbs = {
  /** How far this standby has come. Changes nothing. */
  status: verb({}, progress),
} as const;

/** The one line of standard output that is the answer begins with this; JSON follows. */
export const answerMark = 'answer: ';

export type VerbName = keyof typeof verbs;

/** The values of a verb's arguments by name. */
export type ArgumentsOf<Name extends VerbName> = {
  readonly [
    Each in keyof (typeof verbs)[Name]['arguments']
  ]: (typeof verbs)[Name]['arguments'][Each] extends ArgumentKind<infer T> ? T : never;
};

export type AnswerOf<Name extends VerbName> = Checked<(typeof verbs)[Name]['answer']>;
