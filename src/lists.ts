/**
 * Lists whose length nobody limits, such as the segments of an archive. A call takes its arguments from the stack: a list of more
 * than about 120,000 that is spread into one ends it with a RangeError. Pure.
 */

/** -Infinity if there is none, as Math.max has it. */
export function largestOf(numbers: Iterable<number>): number {
  let largest = -Infinity;
  for (const number of numbers) largest = Math.max(largest, number);
  return largest;
}

/** Infinity if there is none, as Math.min has it. */
export function smallestOf(numbers: Iterable<number>): number {
  let smallest = Infinity;
  for (const number of numbers) smallest = Math.min(smallest, number);
  return smallest;
}

/** Puts them at the end of the list. */
export function append<T>(list: T[], items: Iterable<T>): void {
  for (const item of items) list.push(item);
}
