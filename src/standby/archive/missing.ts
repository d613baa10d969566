/** The holes in the WAL that a standby still has to replay. Pure. */
import { isPossibleSegment, nameOf, segmentNumber } from '../../postgres/lsn.ts';
import type { TimelinePath } from '../../postgres/timelines.ts';
import type { ArchiveContents } from './contents.ts';

type Contents = Pick<ArchiveContents, 'segments' | 'inPgWal' | 'layout'>;

/** The numbers of the segments along the path that are here, in archivedir or in the data directory. */
function numbersOn(path: TimelinePath, { segments, inPgWal, layout }: Contents): ReadonlySet<number> {
  const names = [...segments.map(({ name }) => name), ...inPgWal];
  const numbers = names
    .filter((name) => isPossibleSegment(name, layout))
    .filter((name) => {
      const number = segmentNumber(name, layout);
      const part = path.find(({ timeline }) => timeline === name.timeline);
      return part !== undefined && number >= part.firstNumber && number <= part.lastNumber;
    })
    .map((name) => segmentNumber(name, layout));
  return new Set(numbers);
}

/**
 * The segments from number `from` on that are not here although later ones are, as `FIRST to LAST`; undefined if there
 * are none.
 */
export function describeMissing(contents: Contents, path: TimelinePath, from: number): string | undefined {
  const numbers = [...numbersOn(path, contents)].filter((number) => number >= from).sort((a, b) => a - b);
  const text = (number: number): string => {
    const part = path.findLast(({ firstNumber }) => firstNumber <= number);
    return nameOf(part?.timeline ?? 1, number, contents.layout).text;
  };
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
