import type { BeforeFacts } from '../../../../../../src/standby/actions/failover/switchover/facts.ts';
import type { Follower } from '../../../../../../src/standby/actions/failover/switchover/followers.ts';
import type { Slot } from '../../../../../../src/standby/server/slots.ts';

/** The old primary as a standby that will stream. */
export const oldPrimary: Follower = { name: 'a', problems: [], limits: {}, streamsAs: 'a' };

export function slot(name: string, changes: Partial<Slot> = {}): Slot {
  return { name, kind: 'physical', keepsWal: true, isCopy: false, isForFailover: false, ...changes };
}

/** A primary that would read its archive only, as a standby. */
export const silentPrimary: BeforeFacts['primary'] = {
  server: 'production',
  timeline: 1,
  version: '18',
  archivedir: '/a',
  walDirectory: '/p/pg_wal',
  segmentSize: 1,
  problems: [],
  slots: [],
};

/** The facts before a promotion to which nobody objects. */
export function beforeFacts(changes: Partial<BeforeFacts> = {}): BeforeFacts {
  return {
    primary: { ...silentPrimary, streamsAs: 'a' },
    oldPrimary,
    others: [],
    part: { kind: 'ready', iniFile: '/a.ini' } as BeforeFacts['part'],
    archiving: {
      kind: 'known',
      archiving: { archiveMode: 'on', archiveCommand: 'cmd_archiver -C /a.ini -F %p', archiveLibrary: '' },
    },
    archivingProblems: [],
    otherIniFile: undefined,
    settings: new Map(),
    hasChecksums: undefined,
    slotsHere: [],
    slotRoom: undefined,
    streamingHere: [],
    free: new Map(),
    publicName: 'b',
    ...changes,
  };
}
