/**
 * Keeps WAL of a left timeline from behind the fork away from a standby, whatever its bytes. Pure. The commit script
 * proves that the marks are still those by which the files were compared.
 */
import {
  describeLeft,
  leavesBy,
  leftMarkOf,
  type LeftTimeline,
  withLeft,
} from '../../postgres/left-timeline.ts';
import { contentBytes, type Outgoing } from '../frames/frame.ts';
import type { Delivery } from './delivery.ts';
import type { Trouble } from './trouble.ts';

/**
 * The timelines that this server has left itself. PostgreSQL may ask to archive files of them from behind the fork (up
 * to 9.4 it does so at a promotion, and later ones where archiving is turned on afterwards): no standby needs them.
 */
export interface OwnPast {
  /** By its own history. */
  readonly forks: readonly LeftTimeline[];
  /** Those that it declares left, and its history confirms: they hold even where the standby could not be informed. */
  readonly declared: readonly LeftTimeline[];
  readonly noteSkipped: (name: string, mark: LeftTimeline) => void;
}

export interface Screened {
  /** The first files of a batch that need not be refused, in their order. */
  readonly accepted: readonly Outgoing[];
  /** Those of them that are sent. */
  readonly files: readonly Outgoing[];
  /** Those of them that no standby needs. */
  readonly skipped: readonly { readonly file: Outgoing; readonly mark: LeftTimeline }[];
  /** Why the file after them is refused. */
  readonly trouble: Trouble | undefined;
}

function refusedBy({ place }: Delivery, mark: LeftTimeline): Trouble {
  const who =
    place.mode === 'store' ? 'this server is an old primary' : 'this server has followed an old primary';
  return {
    kind: 'left',
    mark,
    reason: `${describeLeft(mark)}: ${who}`,
    hint: `Stop this server, and make it a standby of ${mark.by}: cmd_standby -C FILE --rejoin ${mark.by} here (doc/rejoin.md). If the promotion of ${mark.by} was a mistake: cmd_archiver --timeline-restored ${mark.timeline}, here.`,
  };
}

export function screen(delivery: Delivery, batch: readonly Outgoing[]): Screened {
  const { sentinel, ownPast } = delivery;
  const marks = (ownPast?.declared ?? []).reduce(withLeft, sentinel?.left ?? []);
  if (marks.length === 0) return { accepted: batch, files: batch, skipped: [], trouble: undefined };
  const files: Outgoing[] = [];
  const skipped: { file: Outgoing; mark: LeftTimeline }[] = [];
  for (const [index, file] of batch.entries()) {
    // A segment was taken only because it has the size of a segment.
    const layout = { segmentSize: contentBytes(file), walSegmentSkipsFF: false };
    const mark = leftMarkOf(file.name, marks, layout);
    if (mark === undefined) files.push(file);
    else if (leavesBy(ownPast?.forks ?? [], mark)) skipped.push({ file, mark });
    else {
      const trouble = refusedBy(delivery, mark);
      return { accepted: batch.slice(0, index), files, skipped, trouble };
    }
  }
  return { accepted: batch, files, skipped, trouble: undefined };
}
