/** The known name that the writer most likely meant, or undefined when none is close. */
export function nearestName(name: string, known: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = furthestTypo(name) + 1;
  for (const candidate of known) {
    const distance = typoDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** ` (did you mean "slaves"?)`, or nothing: to append to a message about an unknown name. */
export function didYouMean(name: string, known: Iterable<string>): string {
  const nearest = nearestName(name, known);
  return nearest === undefined ? '' : ` (did you mean "${nearest}"?)`;
}

/** Two mistakes in a short word, more in a long one: with more, a suggestion only misleads. */
function furthestTypo(name: string): number {
  return Math.max(2, Math.floor(name.length * 0.4));
}

/**
 * Edit distance in which swapping two neighbours counts as one mistake. A truncated word (`rsync` for `rsync_bin`)
 * counts as two mistakes, however much is missing, because people drop suffixes more often than they mistype.
 */
export function typoDistance(a: string, b: string): number {
  const isCutShort = a.length >= 3 && b.length >= 3 && (a.startsWith(b) || b.startsWith(a));
  const edits = editDistance(a, b);
  return isCutShort ? Math.min(edits, 2) : edits;
}

function editDistance(a: string, b: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const replaced = at(previous, column - 1) + (a[row - 1] === b[column - 1] ? 0 : 1);
      const inserted = at(current, column - 1) + 1;
      const deleted = at(previous, column) + 1;
      const isSwap = a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1] && row > 1 && column > 1;
      const swapped = isSwap ? at(beforePrevious, column - 2) + 1 : Infinity;
      current.push(Math.min(replaced, inserted, deleted, swapped));
    }
    [beforePrevious, previous] = [previous, current];
  }
  return at(previous, b.length);
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? Infinity;
}
