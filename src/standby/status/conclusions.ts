/** Facts of a view that follow from others without another look. Pure. */
import { conclude, type Fact, known, NotKnown, valueOf } from '../../status/fact.ts';
import type { Samples } from '../../status/samples.ts';
import type { Clock } from '../../system/clock.ts';
import type { ArchiveFacts, ArchiveState } from './archive.ts';
import type { FailoverFacts, Lag, Shown, StandbyFacts } from './facts.ts';
import { lossOf, primaryEndOf, type Spans } from './loss.ts';
import { isStandby } from './mode.ts';
import type { FailoverNow } from './others.ts';

function lag(end: bigint, replayed: bigint, seconds: number | undefined): Lag {
  const bytes = Number(end > replayed ? end - replayed : 0n);
  return { bytes, seconds: bytes === 0 ? 0 : seconds };
}

function requireArchive(archive: Fact<ArchiveState>): ArchiveFacts {
  const state = known(archive);
  if (state.kind === 'archive') return state;
  throw new NotKnown(`the archive cannot be read: ${state.reason}`);
}

/** WAL of the archive, and of the stream, that was not replayed yet. */
export function lagsOf(
  deps: Pick<Clock, 'now'>,
  { replayed, received, archive }: Shown,
): Pick<StandbyFacts, 'archiveLag' | 'streamLag'> {
  return {
    archiveLag: conclude(deps, () => {
      const { end, waitingAgeS } = requireArchive(archive);
      const { lsn } = known(replayed);
      return lag(end ?? lsn, lsn, waitingAgeS);
    }),
    streamLag: conclude(deps, () => {
      const end = known(received);
      if (end === undefined) return undefined;
      const { lsn, committedAgeS } = known(replayed);
      return lag(end, lsn, committedAgeS);
    }),
  };
}

/** How far a failover here would replay; by what is known without its own look if that has failed. */
export function reachOf({ now, replayed, received, archive }: Shown): bigint {
  const reach = valueOf(now)?.siblings?.comparison.reach;
  if (reach !== undefined) return reach;
  const state = valueOf(archive);
  const ends = [valueOf(replayed)?.lsn, valueOf(received), state?.kind === 'archive' ? state.end : undefined];
  const found = ends.filter((end) => end !== undefined);
  if (found.length === 0) throw new NotKnown('how far a failover here would replay is not known');
  return found.reduce((most, end) => (end > most ? end : most));
}

function spansOf({ replayed, received, receiver, archive }: Shown, reach: bigint): Spans {
  const stream = valueOf(receiver);
  const streamed = valueOf(received);
  const hasAll =
    stream?.status === 'streaming' &&
    stream.primaryEnd !== undefined &&
    streamed !== undefined &&
    streamed >= stream.primaryEnd;
  const state = valueOf(archive);
  const last = valueOf(replayed);
  return {
    streamS: hasAll ? stream.silentS : undefined,
    archiveS:
      state?.kind === 'archive' && state.end !== undefined && state.end <= reach ? state.lastAgeS : undefined,
    commitS: last !== undefined && last.lsn >= reach ? last.committedAgeS : undefined,
  };
}

const primaryKey = 'primary';

function heardOf({ primary, receiver }: Shown, { pointsOf }: Samples, nowMs: number) {
  const stream = valueOf(receiver);
  const received =
    stream?.primaryEnd !== undefined && stream.silentS !== undefined
      ? { lsn: stream.primaryEnd, ageS: stream.silentS }
      : undefined;
  return { asked: valueOf(primary)?.written, received, points: pointsOf(primaryKey), nowMs };
}

/** Only while the stream is alive is its last word about the primary as good as a look. */
const freshS = 10;

/** The numbers to write down. */
export function samplesOf(shown: Shown): Readonly<Record<string, number>> {
  const asked = valueOf(shown.primary)?.written;
  const stream = valueOf(shown.receiver);
  const fresh = stream?.silentS !== undefined && stream.silentS < freshS ? stream.primaryEnd : undefined;
  const end = asked ?? fresh;
  return end === undefined ? {} : { [primaryKey]: Number(end) };
}

/** Undefined if a failover here would lose nothing because there is none. */
export function concludeLoss(
  deps: Pick<Clock, 'now'>,
  shown: Shown,
  samples: Samples,
  nowMs: number,
): StandbyFacts['loss'] {
  return conclude(deps, () => {
    if (!isStandby(known(shown.mode))) return undefined;
    const reach = reachOf(shown);
    const end = primaryEndOf(heardOf(shown, samples, nowMs));
    const primary = valueOf(shown.primary)?.message;
    if (end === undefined)
      throw new NotKnown(
        `how far the primary has written is not known${primary === undefined ? '' : `: ${primary}`}`,
      );
    return lossOf(reach, end, spansOf(shown, reach));
  });
}

export function failoverFacts(
  { siblings, objections }: FailoverNow,
  { standbys }: Shown,
  reach: bigint | undefined,
): FailoverFacts {
  // A location of another history says nothing about this one.
  const apart = (siblings?.comparison.compared ?? [])
    .filter(({ standing: { kind } }) => kind !== 'ahead' && kind !== 'not-ahead')
    .map(({ target }) => target.name);
  const others = (valueOf(standbys) ?? []).flatMap(({ name, furthest }) =>
    furthest === undefined || apart.includes(name) ? [] : [{ name, lsn: furthest }],
  );
  const own = reach === undefined ? [] : [{ name: 'this host', lsn: reach }];
  const [mostAdvanced] = [...own, ...others].sort((a, b) => (b.lsn > a.lsn ? 1 : b.lsn < a.lsn ? -1 : 0));
  return {
    isPossible: objections.every(({ name }) => name === 'primary-alive'),
    objections: objections.map(({ name, message, hint }) => ({ name, message, hint })),
    fetches: siblings?.comparison.fetches.length ?? 0,
    mostAdvanced,
  };
}
