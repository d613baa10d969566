import type { PitrError } from '../../errors.ts';
import type { StandbyDeps } from '../deps.ts';

type WaitDeps = Pick<StandbyDeps, 'pause' | 'monotonicMs' | 'signal'>;

export type Look<T> =
  | { readonly kind: 'done'; readonly value: T }
  | { readonly kind: 'failed'; readonly reason: string }
  /** `progress` is any text that changes as long as there is progress. */
  | { readonly kind: 'waiting'; readonly progress: string };

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
}

const usual: Pace = { firstMs: 100, steadyMs: 0 };
/** For what comes within moments, while nobody takes writes. */
export const closely: Pace = { firstMs: 10, steadyMs: 3_000 };

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
  for (;;) {
    deps.signal.throwIfAborted();
    const seen = await look();
    if (seen.kind !== 'waiting') return seen;
    const now = deps.monotonicMs();
    if (seen.progress !== progress) since = now;
    progress = seen.progress;
    const leftMs = limitS * 1000 - (now - since);
    if (leftMs <= 0) return { kind: 'failed', reason: `nothing moved for ${limitS} s` };
    await deps.pause(Math.min(pauseMs, leftMs));
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
