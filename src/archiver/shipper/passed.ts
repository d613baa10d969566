import { parseWalName, type SegmentName } from '../../postgres/wal-name.ts';
import { addReady, type Board, isOnBoard, removeReady, replaceReady } from './board.ts';

// PostgreSQL takes a file for archived if archive_command exits 0, whatever command that is. A reload can replace it for
// some time, by /bin/true for example, and then no standby gets what passes meanwhile. The shipper sees that in
// archive_status: a file that is ready no longer, although it was not safe everywhere, or that it never saw ready.

/** The meaning of a change of archive_status. */
export interface Change {
  /** These are ready no longer. */
  readonly gone: readonly string[];
  /** Standbys that may lack one of the files that PostgreSQL takes for archived. */
  readonly mayLack: ReadonlySet<string>;
}

/** Whether the segment follows the other one immediately, with every size of segments. */
function isNext({ log, seg }: SegmentName, before: SegmentName): boolean {
  return log === before.log ? seg === before.seg + 1 : log === before.log + 1 && seg === 0;
}

/** Notes the newest segment of each timeline. Segments become ready in their order, without a gap. */
function note({ newest }: Board, segment: SegmentName): 'seen-before' | 'next' | 'leaves-out' {
  const before = newest.get(segment.timeline);
  if (before !== undefined && segment.text <= before.text) return 'seen-before';
  newest.set(segment.timeline, segment);
  return before === undefined || isNext(segment, before) ? 'next' : 'leaves-out';
}

/** Standbys ask for these when they catch up, and for nothing else. */
function isAsked(name: string): boolean {
  const { kind } = parseWalName(name);
  return kind === 'segment' || kind === 'history';
}

/** The standbys that may lack a segment before this one. */
function noteReady(board: Board, name: string): readonly string[] {
  const parsed = parseWalName(name);
  return parsed.kind === 'segment' && note(board, parsed) === 'leaves-out' ? board.standbys : [];
}

/** The standbys that may lack this one or one before it, which is not ready, and was never on the board. */
function noteUnready(board: Board, name: string): readonly string[] {
  const parsed = parseWalName(name);
  // The name of an older one is reported when a checkpoint removes its file.
  return parsed.kind === 'segment' && note(board, parsed) !== 'seen-before' ? board.standbys : [];
}

/** Another process of this program leaves no hole, but here it looks the same: the standbys are asked in vain then. */
function lackersOf({ shipments, standbys }: Board, name: string): readonly string[] {
  return isAsked(name) ? [...(shipments.get(name)?.owed ?? standbys)] : [];
}

/** One file has changed. */
export function takeChange(board: Board, name: string, isReady: boolean): Change {
  if (isReady) {
    addReady(board, name);
    return { gone: [], mayLack: new Set(noteReady(board, name)) };
  }
  const mayLack = isOnBoard(board, name) ? lackersOf(board, name) : noteUnready(board, name);
  removeReady(board, name);
  return { gone: [name], mayLack: new Set(mayLack) };
}

/** All files of archive_status. The first listing is where the observation begins. */
export function takeListing(board: Board, ready: readonly string[], done: readonly string[]): Change {
  const now = new Set(ready);
  const lacking = board.order.filter((name) => !now.has(name)).flatMap((name) => lackersOf(board, name));
  const gone = replaceReady(board, ready);
  const left = new Set(gone);
  const noted = [...ready, ...done].sort().flatMap((name) => {
    if (now.has(name)) return noteReady(board, name);
    return left.has(name) ? [] : noteUnready(board, name);
  });
  return { gone, mayLack: new Set(board.isListed ? [...lacking, ...noted] : []) };
}
