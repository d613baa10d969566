/** The holes in the WAL that a standby still has to replay. Pure. */
import { nameOnPath, placesOn, type TimelinePath } from '../../postgres/timelines.ts';
import type { ArchiveContents } from './contents.ts';

/**
 * The segments from number `from` on that are not here, in archivedir or in the data directory, although later ones are,
 * as `FIRST to LAST`; undefined if there are none.
 */
export function describeMissing(
  { segments, inPgWal, layout }: Pick<ArchiveContents, 'segments' | 'inPgWal' | 'layout'>,
  path: TimelinePath,
  from: number,
): string | undefined {
  const places = placesOn(path, [...segments, ...inPgWal.map((name) => ({ name }))], layout);
  const numbers = [...places.keys()].filter((number) => number >= from).sort((a, b) => a - b);
  const text = (number: number): string => nameOnPath(path, number, layout);
  const holes = numbers.flatMap((number, index) => {
    const expected = index === 0 ? from : (numbers[index - 1] ?? 0) + 1;
    if (number === expected) return [];
    return [number - 1 === expected ? text(expected) : `${text(expected)} to ${text(number - 1)}`];
  });
  return holes.length === 0 ? undefined : holes.join(', ');
}

export function missingSentence(names: string): string {
  return `this standby lacks ${names}: it needs a new base backup, unless the archiver of its primary still brings them or it streams them`;
}
