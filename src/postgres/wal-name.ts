/**
 * The names of the files that PostgreSQL archives (manual, chapter "Continuous Archiving and Point-in-Time
 * Recovery"). Names are parsed once, where they enter; all other code handles the parsed form.
 */

export interface SegmentName {
  readonly kind: 'segment';
  readonly text: string;
  readonly timeline: number;
  /** The high half of the segment's first LSN. */
  readonly log: number;
  /** The segment's place among those that share `log`. */
  readonly seg: number;
}

/** The incomplete last segment of a timeline, as a promoted server archives it from 9.5. */
export interface PartialName {
  readonly kind: 'partial';
  readonly text: string;
  readonly segment: SegmentName;
}

/** The file that says where a timeline branched off; `history.ts` reads its text. */
export interface HistoryName {
  readonly kind: 'history';
  readonly text: string;
  readonly timeline: number;
}

/** The mark that a base backup leaves in the archive when it ends. */
export interface BackupName {
  readonly kind: 'backup';
  readonly text: string;
  /** The first segment that the backup needs. */
  readonly segment: SegmentName;
  /** The byte in that segment at which the backup's redo starts. */
  readonly offset: number;
}

export interface NotWal {
  readonly kind: 'not-wal';
  readonly text: string;
  readonly reason: string;
}

/** The files that PostgreSQL archives and we ship. */
export type WalName = SegmentName | PartialName | HistoryName | BackupName;

/** PostgreSQL writes these names with upper-case hexadecimal digits only. */
const shape =
  /^(?<timeline>[0-9A-F]{8})(?:\.history|(?<log>[0-9A-F]{8})(?<seg>[0-9A-F]{8})(?<partial>\.partial)?(?:\.(?<offset>[0-9A-F]{8})\.backup)?)$/;

/** `text` is a bare file name; a path is not a WAL name. */
export function parseWalName(text: string): WalName | NotWal {
  const groups = shape.exec(text)?.groups;
  if (groups === undefined || text.includes('\n')) return notWal(text);
  const { timeline = '', log, seg, partial, offset } = groups;
  if (hex(timeline) === 0) return { kind: 'not-wal', text, reason: 'there is no timeline 0' };
  if (log === undefined || seg === undefined) return { kind: 'history', text, timeline: hex(timeline) };
  const segment = segmentName(hex(timeline), hex(log), hex(seg));
  if (partial !== undefined && offset !== undefined) return notWal(text);
  if (partial !== undefined) return { kind: 'partial', text, segment };
  if (offset !== undefined) return { kind: 'backup', text, segment, offset: hex(offset) };
  return segment;
}

/** The WAL files among the names in a directory. */
export function walNamesAmong(names: readonly string[]): readonly WalName[] {
  return names.map(parseWalName).filter((name) => name.kind !== 'not-wal');
}

function notWal(name: string): NotWal {
  const reason = shape.test(name.toUpperCase().replace(/\.[A-Z]+$/, (suffix) => suffix.toLowerCase()))
    ? 'PostgreSQL writes the name of a WAL file with upper-case digits'
    : 'not the name of a WAL segment, .partial, .history or .backup file';
  return { kind: 'not-wal', text: name, reason };
}

export function segmentName(timeline: number, log: number, seg: number): SegmentName {
  return { kind: 'segment', text: hex8(timeline) + hex8(log) + hex8(seg), timeline, log, seg };
}

export function historyName(timeline: number): HistoryName {
  return { kind: 'history', text: `${hex8(timeline)}.history`, timeline };
}

/** The timeline that a file of the archive belongs to. */
export function timelineOf(name: WalName): number {
  return name.kind === 'segment' || name.kind === 'history' ? name.timeline : name.segment.timeline;
}

/**
 * The order in which a queue is sent. Sorting the names gives this order: by timeline, then a timeline's `.history`
 * before its segments ('.' sorts before '0'), then by place, and a segment before its `.backup` and `.partial`.
 */
export function compareWalNames(a: { readonly text: string }, b: { readonly text: string }): number {
  if (a.text === b.text) return 0;
  return a.text < b.text ? -1 : 1;
}

function hex(digits: string): number {
  return Number.parseInt(digits, 16);
}

function hex8(value: number): string {
  return value.toString(16).toUpperCase().padStart(8, '0');
}
