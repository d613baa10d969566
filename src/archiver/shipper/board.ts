import type { SegmentName } from '../../postgres/wal-name.ts';
import type { WalFile } from '../wal/wal-file.ts';

/** One file that PostgreSQL wants archived, and the standbys that lack it. */
export interface Shipment {
  readonly file: WalFile;
  /** Standbys that neither have it nor have it in their queue. */
  readonly owed: Set<string>;
  /** Standbys that will never get it. */
  readonly abandoned: Set<string>;
  /** Standbys to which a process is reading it from pg_wal right now. */
  readonly readers: Set<string>;
  isMarked: boolean;
}

/**
 * The files that PostgreSQL has marked as ready, in memory: no directory is listed for a single segment. Only a
 * window of them is examined, so that a long backlog costs only as much as its window.
 */
export type Board = ReturnType<typeof createBoard>;

/** How far ahead of PostgreSQL segments are shipped. */
const windowFiles = 256;

export function createBoard(standbys: readonly string[]) {
  return {
    standbys,
    /** All ready files, in the order in which they are sent. */
    order: [] as string[],
    /** Whether the board has all that PostgreSQL has ready: not before the directory was listed once. */
    isListed: false,
    /** The server is stopped: nothing takes a file that has its marker, and the window leaves those out. */
    isStopped: false,
    /** The files of the window that passed their check. */
    shipments: new Map<string, Shipment>(),
    /** The reasons why others of the window are not shipped. */
    refused: new Map<string, string>(),
    /** The refusals that were logged. */
    told: new Map<string, string>(),
    /** The newest segment of each timeline that was in archive_status (passed.ts). */
    newest: new Map<number, SegmentName>(),
    /** The oldest file without a marker, and since when (by `monotonicMs`): PostgreSQL may be waiting for it. */
    head: undefined as { readonly name: string; readonly sinceMs: number } | undefined,
  };
}

/** History files first, whatever their timeline: PostgreSQL archives them so as well. */
export function compareReady(a: string, b: string): number {
  const historyFirst = Number(b.endsWith('.history')) - Number(a.endsWith('.history'));
  if (historyFirst !== 0) return historyFirst;
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** The position of a name in the order, or the position where it belongs. */
function placeOf(order: readonly string[], name: string): number {
  let low = 0;
  let high = order.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compareReady(order[middle] ?? '', name) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Whether PostgreSQL has it ready, as far as the board knows. */
export function isOnBoard({ order }: Board, name: string): boolean {
  return order[placeOf(order, name)] === name;
}

export function addReady(board: Board, name: string): void {
  const place = placeOf(board.order, name);
  if (board.order[place] !== name) board.order.splice(place, 0, name);
}

/** PostgreSQL no longer wants it archived: another process has done so. */
export function removeReady(board: Board, name: string): Shipment | undefined {
  const place = placeOf(board.order, name);
  if (board.order[place] === name) board.order.splice(place, 1);
  const shipment = board.shipments.get(name);
  forget(board, name);
  return shipment;
}

function forget(board: Board, name: string): void {
  board.shipments.delete(name);
  board.refused.delete(name);
  board.told.delete(name);
}

/** Brings the board up to date with the directory. Returns the names that are gone. */
export function replaceReady(board: Board, names: readonly string[]): readonly string[] {
  const now = new Set(names);
  const gone = board.order.filter((name) => !now.has(name));
  for (const name of gone) forget(board, name);
  board.order = [...now].sort(compareReady);
  return gone;
}

/** Files that PostgreSQL has ready, as far ahead as they are shipped. */
function windowOf({ order, shipments, isStopped }: Board): readonly string[] {
  if (!isStopped) return order.slice(0, windowFiles);
  return order.filter((name) => shipments.get(name)?.isMarked !== true).slice(0, windowFiles);
}

/** Whether there is nothing more to ship. */
export function isEverythingMarked({ order, shipments }: Board): boolean {
  return order.every((name) => shipments.get(name)?.isMarked === true);
}

/** Names of the window that were not examined yet. */
export function unseen(board: Board): readonly string[] {
  return windowOf(board).filter((name) => !board.shipments.has(name) && !board.refused.has(name));
}

export function admit(board: Board, file: WalFile): void {
  board.shipments.set(file.name.text, {
    file,
    owed: new Set(board.standbys),
    abandoned: new Set(),
    readers: new Set(),
    isMarked: false,
  });
}

/** In the order in which they are sent. */
export function shipmentsInOrder(board: Board): Shipment[] {
  return windowOf(board)
    .map((name) => board.shipments.get(name))
    .filter((shipment) => shipment !== undefined);
}

export function owedTo(board: Board, standby: string): Shipment[] {
  return shipmentsInOrder(board).filter(({ owed }) => owed.has(standby));
}

/** An abandoned standby that accepts WAL again gets the files that have no marker yet. */
export function offerAgain(board: Board, standby: string): void {
  for (const { isMarked, abandoned, owed } of board.shipments.values()) {
    if (!isMarked && abandoned.delete(standby)) owed.add(standby);
  }
}

export function wasLost(board: Board, standby: string): boolean {
  return [...board.shipments.values()].some(({ isMarked, abandoned }) => !isMarked && abandoned.has(standby));
}

/** Whether a marker may be left: every standby has it safe, nobody reads it, and at least one standby counts. */
function isComplete(board: Board, { owed, readers, abandoned }: Shipment): boolean {
  return owed.size === 0 && readers.size === 0 && abandoned.size < board.standbys.length;
}

export function findComplete(board: Board): Shipment[] {
  return shipmentsInOrder(board).filter((shipment) => !shipment.isMarked && isComplete(board, shipment));
}

export function isAnyMarked(board: Board): boolean {
  for (const { isMarked } of board.shipments.values()) if (isMarked) return true;
  return false;
}

/** The oldest file for which PostgreSQL cannot have had an answer yet, and since when. */
export function updateHead(board: Board, nowMs: number): Board['head'] {
  const first = shipmentsInOrder(board).find(({ isMarked }) => !isMarked);
  const name = first?.file.name.text;
  if (name === undefined) board.head = undefined;
  else if (board.head?.name !== name) board.head = { name, sinceMs: nowMs };
  return board.head;
}

/** Whether the shipment is still the one on the board: PostgreSQL may have made another file of the same name. */
export function isWanted(board: Board, shipment: Shipment): boolean {
  return board.shipments.get(shipment.file.name.text) === shipment;
}
