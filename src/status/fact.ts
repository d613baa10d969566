/**
 * A look at one thing, for --status: its value, or why it is not known. A fact that could not be had is never taken for a
 * good one.
 */
import { messageOf } from '../errors.ts';
import type { Clock } from '../system/clock.ts';
import type { RunCommand } from '../system/command.ts';
import type { Log } from '../system/log.ts';

interface Seen<T> {
  readonly kind: 'seen';
  readonly value: T;
  /** Milliseconds since 1970, by this host's clock. */
  readonly atMs: number;
}

interface Unknown {
  readonly kind: 'unknown';
  /** Lower case, no full stop. */
  readonly reason: string;
  readonly atMs: number;
}

export type Fact<T> = Seen<T> | Unknown;

/** The error by which a look says that a fact cannot be known, though nothing failed. */
export class NotKnown extends Error {}

export interface LookDeps extends Pick<Clock, 'now' | 'monotonicMs'> {
  readonly log: Log;
  /** On the clock of `monotonicMs`: all looks of a view end by then, however many there are and however many hosts are silent. */
  readonly endMs: number;
}

/** The time for all looks of a view. */
export const viewMs = 2_500;
const late = `no answer within ${viewMs / 1000} s`;

/** No command outlives the view: it would keep the program from ending. */
export function withinView<D extends Pick<Clock, 'monotonicMs'> & { readonly run: RunCommand }>(
  deps: D,
): D & Pick<LookDeps, 'endMs'> {
  const endMs = deps.monotonicMs() + viewMs;
  const run: RunCommand = (command, options) => {
    const leftMs = endMs - deps.monotonicMs();
    if (leftMs <= 0) throw new NotKnown(late);
    return deps.run(command, { ...options, limitMs: Math.min(options.limitMs, leftMs) });
  };
  return { ...deps, run, endMs };
}

function afterLimit(limitMs: number): { readonly passed: Promise<never>; readonly clear: () => void } {
  let timer: NodeJS.Timeout | undefined;
  const passed = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => {
        reject(new NotKnown(late));
      },
      Math.max(0, limitMs),
    );
  });
  return {
    passed,
    clear: () => {
      clearTimeout(timer);
    },
  };
}

/** Never throws: an error becomes the reason why the fact is unknown. What a look began is left to end by itself. */
export async function look<T>(
  { now, monotonicMs, log, endMs }: LookDeps,
  ask: () => Promise<T>,
): Promise<Fact<T>> {
  const limit = afterLimit(endMs - monotonicMs());
  try {
    const value = await Promise.race([ask(), limit.passed]);
    return { kind: 'seen', value, atMs: now() };
  } catch (error) {
    if (!(error instanceof NotKnown)) log.debug(`a look failed: ${messageOf(error)}`);
    return { kind: 'unknown', reason: messageOf(error), atMs: now() };
  } finally {
    limit.clear();
  }
}

export function isFact(value: unknown): value is Fact<unknown> {
  if (typeof value !== 'object' || value === null || !('kind' in value) || !('atMs' in value)) return false;
  return value.kind === 'seen' || value.kind === 'unknown';
}

/** The fact that follows from another one, at the time when that was seen. */
export function derive<T, U>(fact: Fact<T>, from: (value: T) => U): Fact<U> {
  return fact.kind === 'seen' ? { ...fact, value: from(fact.value) } : fact;
}

export function valueOf<T>(fact: Fact<T> | undefined): T | undefined {
  return fact?.kind === 'seen' ? fact.value : undefined;
}

/** For a table: its value as a text, or that it is unknown. */
export function factText<T>(fact: Fact<T>, show: (value: T) => string): string {
  return fact.kind === 'seen' ? show(fact.value) : 'unknown';
}

/** For a look that needs another fact: its value; unknown for the same reason. */
export function known<T>(fact: Fact<T>): T {
  if (fact.kind === 'seen') return fact.value;
  throw new NotKnown(fact.reason);
}

/** A fact that follows from others without another look; unknown if `from` throws that it is. */
export function conclude<T>({ now }: Pick<Clock, 'now'>, from: () => T): Fact<T> {
  try {
    return { kind: 'seen', value: from(), atMs: now() };
  } catch (error) {
    if (!(error instanceof NotKnown)) throw error;
    return { kind: 'unknown', reason: messageOf(error), atMs: now() };
  }
}

/** Every unknown fact in a tree of facts, by its path, such as `standbys.b.queue`. */
export function unknownFacts(
  value: unknown,
  path: readonly string[] = [],
): readonly { readonly path: string; readonly reason: string }[] {
  if (isFact(value))
    return value.kind === 'unknown'
      ? [{ path: path.join('.'), reason: value.reason }]
      : unknownFacts(value.value, path);
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, part]: [string, unknown]) => {
    const isNamed = Array.isArray(value) && typeof part === 'object' && part !== null && 'name' in part;
    return unknownFacts(part, [...path, isNamed ? String(part.name) : key]);
  });
}
