import type { ArchiverSettings, StandbyTarget } from '../../../../src/config/options-archiver.ts';
import { segmentName } from '../../../../src/postgres/wal-name.ts';
import { pathOf } from '../../../../src/standby/archive/replay-check.ts';
import type { Sibling, SiblingAnswer } from '../../../../src/standby/siblings/ask.ts';
import type { OwnReach } from '../../../../src/standby/siblings/compare.ts';
import type { AnswerOf } from '../../../../src/verbs/verbs.ts';

const layout = { segmentSize: 16 * 1024 * 1024, walSegmentSkipsFF: false };

function target(name: string): StandbyTarget {
  return {
    name,
    host: name,
    user: 'postgres',
    ssh: { program: 'ssh', args: [] },
    ssh_timeout: 10,
    rsync_flags: [],
    r_archivedir: '/archive',
  };
}

export function sibling(name: string, answer: SiblingAnswer): Sibling {
  return { target: target(name), answer };
}

/** A standby that answers; by default it recovers on timeline 1 and has nothing. */
export function answering(
  name: string,
  said: Partial<AnswerOf<'wal-from'>> = {},
  promotedAtTimeline?: number,
): Sibling {
  return sibling(name, {
    kind: 'answered',
    sentinel: {
      systemIdentifier: '1',
      standby: name,
      primaryPgdata: undefined,
      promotedAtTimeline,
      left: [],
    },
    command: { program: '/p/bin/cmd_standby', iniFile: '/etc/cmd_standby.ini' },
    said: {
      server: 'recovering',
      isStandby: true,
      restartpoint: { timeline: 1, lsn: '0/3000028' },
      proved: { timeline: 1, lsn: '0/3000028' },
      archived: [],
      inPgWal: [],
      walDirectory: '/data/pg_wal',
      ...said,
    },
    clock: undefined,
  });
}

/** This host: it replays segment 5 next, and has these segments. */
export function own(held: readonly number[], changes: Partial<OwnReach> = {}): OwnReach {
  const segments = held.map((number) => ({ name: segmentName(1, 0, number), fault: undefined }));
  const facts = {
    from: segmentName(1, 0, 5),
    path: pathOf(1, new Map(), layout),
    layout,
    segments,
    inPgWal: [],
  };
  return { facts, furthest: 0x500_0060n, left: [], ...changes };
}

export const names = (...numbers: readonly number[]) =>
  numbers.map((number) => segmentName(1, 0, number).text);

export const archiver = { l_archivedir: '/queues' } as ArchiverSettings;
