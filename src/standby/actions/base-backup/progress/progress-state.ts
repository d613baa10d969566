import { durationText, rateOf, rateText, sizeText } from '../../../../amounts.ts';
import type { Amount, BackupEvent, BackupPhase } from './events.ts';

/** The progress of a base backup. Times are milliseconds of a clock that nobody sets. */
export interface ProgressState {
  readonly phase: BackupPhase | undefined;
  readonly planned: Amount | undefined;
  readonly done: Amount;
  /** The latest measurements, oldest first. The rate is computed from them. */
  readonly recent: readonly (Amount & { readonly atMs: number })[];
}

const nothing: Amount = { bytes: 0, files: 0 };

export const noProgress: ProgressState = { phase: undefined, planned: undefined, done: nothing, recent: [] };

/** Long enough to smooth bursts, and short enough to show that the network has become slow. */
const rateWindowMs = 15_000;
/** Events within this time are merged into one measurement. */
const leastGapMs = 250;

function remember({ recent }: ProgressState, done: Amount, atMs: number): ProgressState['recent'] {
  const last = recent.at(-1);
  if (last !== undefined && recent.length > 1 && atMs - last.atMs < leastGapMs)
    return [...recent.slice(0, -1), { ...done, atMs: last.atMs }];
  return [...recent.filter((moment) => atMs - moment.atMs <= rateWindowMs), { ...done, atMs }];
}

/** The phases that count bytes. Each of them begins at zero. */
const countsAnew: readonly BackupPhase[] = ['verify'];

export function afterEvent(state: ProgressState, event: BackupEvent, atMs: number): ProgressState {
  switch (event.kind) {
    case 'phase': {
      if (!countsAnew.includes(event.phase)) return { ...state, phase: event.phase };
      return { ...state, phase: event.phase, done: nothing, recent: [{ ...nothing, atMs }] };
    }
    case 'planned':
      return { ...state, planned: event, done: nothing, recent: [{ ...nothing, atMs }] };
    case 'progress':
      return { ...state, done: event, recent: remember(state, event, atMs) };
  }
}

const phaseTexts: Readonly<Record<BackupPhase, string>> = {
  checkpoint: 'waiting for the checkpoint of the primary',
  tablespaces: 'tablespaces',
  data: 'data',
  verify: 'verifying',
  wal: 'waiting for the WAL',
};

export function phaseText({ phase }: ProgressState): string {
  return phase === undefined ? 'preparing' : phaseTexts[phase];
}

/** Whether this phase counts bytes, so that there is progress to show. */
export function isCounting({ phase, planned }: ProgressState): boolean {
  return planned !== undefined && phase !== undefined && phase !== 'checkpoint' && phase !== 'wal';
}

/** 0 to 1. A primary grows while it is copied, so more bytes may be copied than were planned. */
export function shareDone({ planned, done }: ProgressState): number {
  if (planned === undefined) return 0;
  return planned.bytes === 0 ? 1 : Math.min(1, done.bytes / planned.bytes);
}

/** Bytes per second during the last measurements. */
function currentRate({ recent, done }: ProgressState, atMs: number): number | undefined {
  const [first] = recent;
  return first === undefined ? undefined : rateOf(done.bytes - first.bytes, (atMs - first.atMs) / 1000);
}

function timeLeft(state: ProgressState, atMs: number): string {
  const rate = currentRate(state, atMs);
  if (state.planned === undefined || rate === undefined || rate <= 0) return 'time left unknown';
  const left = Math.max(0, state.planned.bytes - state.done.bytes);
  return `${durationText(left / rate)} left`;
}

/**
 * `512 MB of 1.0 GB, 123 of 1234 files, 48 MB/s, 11 s left`, and the same in shorter and shorter forms for narrow
 * lines. The remaining time is left out last.
 */
export function amountTexts(state: ProgressState, atMs: number): readonly string[] {
  const { planned, done } = state;
  if (planned === undefined) return [];
  const bytes = `${sizeText(done.bytes)} of ${sizeText(planned.bytes)}`;
  // pg_basebackup counts only bytes.
  const files = planned.files === 0 ? [] : [`${done.files} of ${planned.files} files`];
  const rate = rateText(currentRate(state, atMs));
  const left = timeLeft(state, atMs);
  const choices = [[bytes, ...files, rate, left], [bytes, rate, left], [bytes, left], [left]];
  return choices.map((parts) => parts.join(', '));
}
