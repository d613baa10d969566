import type { PitrError } from '../../errors.ts';
import type { StandbyDeps } from '../deps.ts';

type WaitDeps = Pick<StandbyDeps, 'pause' | 'monotonicMs' | 'signal'>;

export type Look<T> =
  | { readonly kind: 'done'; readonly value: T }
  | { readonly kind: 'failed'; readonly reason: string }
  | {
      readonly kind: 'waiting';
      /** Any text that changes as long as there is progress. */
      readonly progress: string;
      /** The next look will leave no line in the server's log, and may come soon. */
      readonly isQuiet?: boolean;
    };

/**
 * A server that does not accept connections yet logs each attempt of ours. The longer it takes, the rarer the attempts
 * become.
 */
const longestPauseMs = 1_000;
const pauseGrowth = 1.25;

/** How long the pauses are at first, and from when on they become longer. */
interface Pace {
  readonly firstMs: number;
  readonly steadyMs: number;
  /** A text that changes with what is waited for. To read it costs little and leaves no trace, so it is read often. */
  readonly sign?: () => Promise<string>;
}

/** Each look at a server takes about as long. */
const soonMs = 20;
const usual: Pace = { firstMs: 100, steadyMs: 0 };
/** For what comes within moments, while nobody takes writes. */
export const closely: Pace = { firstMs: 10, steadyMs: 3_000 };

/** As usual, but the next look comes as soon as the sign changes. */
export function lookingAt(sign: () => Promise<string>): Pace {
  return { ...usual, sign };
}

/** The sign was read before the look that found nothing: a change since then counts. */
async function pauseWhile(
  deps: WaitDeps,
  ms: number,
  before: string | undefined,
  { sign }: Pace,
): Promise<void> {
  if (sign === undefined) return deps.pause(ms);
  const endMs = deps.monotonicMs() + ms;
  for (let leftMs = ms; leftMs > 0; leftMs = endMs - deps.monotonicMs()) {
    if ((await sign()) !== before) return;
    await deps.pause(Math.min(closely.firstMs, leftMs));
  }
}

/**
 * Polls until the result is final. The limit counts from the last progress: a replay that takes hours is waited for,
 * and one that stands still is not.
 */
export async function waitUntil<T>(
  deps: WaitDeps,
  limitS: number,
  look: () => Promise<Look<T>>,
  pace = usual,
): Promise<Exclude<Look<T>, { kind: 'waiting' }>> {
  let progress: string | undefined;
  let pauseMs = pace.firstMs;
  let since = deps.monotonicMs();
  const steadyUntil = since + pace.steadyMs;
  const quietUntil = since + closely.steadyMs;
  for (;;) {
    deps.signal.throwIfAborted();
    const sign = await pace.sign?.();
    const seen = await look();
    if (seen.kind !== 'waiting') return seen;
    const now = deps.monotonicMs();
    if (seen.progress !== progress) since = now;
    progress = seen.progress;
    const leftMs = limitS * 1000 - (now - since);
    if (leftMs <= 0) return { kind: 'failed', reason: `nothing moved for ${limitS} s` };
    const isSoon = seen.isQuiet === true && now < quietUntil;
    await pauseWhile(deps, Math.min(isSoon ? soonMs : pauseMs, leftMs), sign, pace);
    if (now >= steadyUntil) pauseMs = Math.min(longestPauseMs, pauseMs * pauseGrowth);
  }
}

/** The same for a condition that shows no progress: whether it comes true within the limit. */
export async function comesTrue(
  deps: WaitDeps,
  limitS: number,
  isTrue: () => Promise<boolean>,
  pace = usual,
): Promise<boolean> {
  const look = async (): Promise<Look<true>> =>
    (await isTrue()) ? { kind: 'done', value: true } : { kind: 'waiting', progress: '' };
  const end = await waitUntil(deps, limitS, look, pace);
  return end.kind === 'done';
}

/** The same for a result that must come: otherwise throws the caller's error. */
export async function mustBecome<T>(
  deps: WaitDeps,
  limitS: number,
  look: () => Promise<Look<T>>,
  explain: (reason: string) => PitrError | Promise<PitrError>,
  pace = usual,
): Promise<T> {
  const end = await waitUntil(deps, limitS, look, pace);
  if (end.kind === 'done') return end.value;
  throw await explain(end.reason);
}
