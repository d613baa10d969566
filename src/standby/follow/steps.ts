import { messageOf } from '../../errors.ts';
import { formatLeft, type LeftTimeline } from '../../postgres/left-timeline.ts';
import { readSentinel, updateSentinel } from '../../system/sentinel.ts';
import { markLeft } from '../archive/mark-left.ts';
import { askToResume, endRequest } from '../archive/resume-request.ts';
import type { StandbyDeps } from '../deps.ts';
import { changeRecord, readRecord } from '../host/backup-record/record.ts';
import { stillUnderWay } from '../recovery/promotion.ts';
import { startSteps } from '../recovery/standby-start.ts';
import { logSize, notStartedHere, restartServerProgram } from '../server/local-server.ts';
import type { Server } from '../server/server.ts';
import type { ServerConfiguration } from '../server/server-configuration.ts';
import { dropSlotsHere } from '../slot/for-others.ts';
import type { ServerContext } from '../steps/server-steps.ts';
import { entriesFor, type StepsOf } from '../steps/step-table.ts';
import type { Host } from './host.ts';
import { type Address, changeIni } from './ini-file.ts';
import { reloadServer } from './reload.ts';
import { type Followed, type Manner, mustFollow } from './see-it-follow.ts';

export interface FollowContext extends ServerContext {
  /** With the settings of the INI file as it was. */
  readonly deps: StandbyDeps;
  readonly host: Host;
  readonly address: Address;
  /** Set once it was seen to follow. */
  followed?: Followed;
}

const followStep = entriesFor<FollowContext>();

/** A former primary's records of its promotion would forbid that it is a standby. */
export async function forgetPromotion({ deps, pgdata }: Server): Promise<void> {
  const { promotion } = await readRecord(pgdata);
  await changeRecord(pgdata, {
    promotedAtTimeline: undefined,
    isFailoverUnfinished: undefined,
    takesRole: undefined,
    isFenceBegun: undefined,
    promotion: stillUnderWay(promotion),
    isActionBegun: undefined,
    raisedSettings: undefined,
    stoppedFor: undefined,
    switchover: undefined,
  });
  await updateSentinel(deps.run, deps.settings.archivedir, (before) => {
    if (before === undefined) throw new Error(`${deps.settings.archivedir} has no sentinel any more`);
    return { ...before, promotedAtTimeline: undefined };
  });
}

/** A later -F999 looks for the primary's server in this directory on its host. */
async function notePrimary({ deps, host }: FollowContext): Promise<void> {
  const { archivedir } = deps.settings;
  const primaryPgdata = host.facts.dataDirectory;
  const sentinel = await readSentinel(archivedir);
  if (sentinel === undefined || sentinel.primaryPgdata === primaryPgdata) return;
  await updateSentinel(deps.run, archivedir, (before) => ({ ...(before ?? sentinel), primaryPgdata }));
}

export const followSteps = {
  ...startSteps,
  'mark-left': followStep<{ readonly marks: readonly LeftTimeline[] }>({
    say: ({ marks }) =>
      `note in the archive which timelines were left: ${marks.map((mark) => formatLeft(mark)).join(', ')}`,
    run: async ({ deps, host }, { marks }) => {
      const cluster = host.facts.systemIdentifier;
      for (const { timeline, lsn, by } of marks) await markLeft(deps, { timeline, lsn, host: by, cluster });
    },
  }),
  'edit-ini': followStep<{ readonly changes: readonly string[] }>({
    say: ({ changes }, { deps }) => `write into ${deps.iniFile}: ${changes.join(', ')}`,
    run: ({ deps, address }) => changeIni(deps, address),
  }),
  'forget-promotion': followStep({
    say: (_step, { deps }) => `let ${deps.settings.archivedir} take WAL of a primary again`,
    run: ({ server }) => forgetPromotion(server),
  }),
  /** The standbys of a former primary make their slots on the next one. */
  'drop-slots-here': followStep({
    say: () => 'drop the replication slots here by which standbys have streamed',
    run: ({ server }) => dropSlotsHere(server),
  }),
  reload: followStep({
    say: () => 'reload the server',
    run: async (context) => {
      context.started = { ...notStartedHere, logOffset: await logSize(context.server.deps) };
      await reloadServer(context.server);
    },
  }),
  restart: followStep<{ readonly configuration: ServerConfiguration }>({
    say: () => 'restart the server',
    run: async (context, { configuration }) => {
      context.started = await restartServerProgram(context.server, configuration);
    },
  }),
  'see-it-follow': followStep<{ readonly host: string } & Manner>({
    say: ({ host, streams, isDelayed, restart }) => {
      if (streams && !isDelayed) return `wait until it is seen streaming from ${host}`;
      const replayed = isDelayed ? '' : ' and is replayed';
      return restart === undefined
        ? `end a segment on ${host}, and wait until it has come here${replayed}`
        : `end a segment on ${host}, wait until it has come here, restart the server, and wait until that segment is replayed`;
    },
    run: async (context, manner) => {
      await notePrimary(context);
      const { deps, server, started, address, host } = context;
      const { archivedir } = deps.settings;
      await askToResume(deps, archivedir).catch((error: unknown) => {
        deps.log.warning(`cannot ask cmd_archiver to end an abandonment: ${messageOf(error)}`);
      });
      context.followed = await mustFollow({ server, started, address, facts: host.facts }, host, manner);
      // A stream proves nothing about the archiver: it finds the request at its next hello.
      if (context.followed.by === 'archive') await endRequest(archivedir);
    },
  }),
};

export type FollowStep = StepsOf<typeof followSteps>;
