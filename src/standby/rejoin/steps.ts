import { checkpointSql } from '../../postgres/backup-sql.ts';
import type { Archive } from '../archive/own-archive.ts';
import { makeArchive } from '../follow/new-archive.ts';
import { type FollowContext, followSteps } from '../follow/steps.ts';
import type { RecoverySettings } from '../recovery/settings.ts';
import type { DataDirectory } from '../server/data-directory.ts';
import { entriesFor, type StepsOf } from '../steps/step-table.ts';
import { type Offered, offerWal } from './offer-wal.ts';
import type { RewindAbility } from './rewind-ability.ts';
import { moveBack } from './rewind-directory.ts';
import { runRewind } from './run-rewind.ts';
import type { Unsent } from './unsent.ts';

export interface RejoinContext extends FollowContext {
  readonly directory: DataDirectory;
  offered?: Offered;
  /** The checkpoint that was asked for. */
  checkpoint?: Promise<unknown>;
}

const rejoinStep = entriesFor<RejoinContext>();

/** A fast checkpoint writes all dirty buffers at once. */
const checkpointMs = 30 * 60_000;

export const rejoinSteps = {
  ...followSteps,
  'make-archive': rejoinStep<{ readonly archive: Archive }>({
    say: ({ archive: { directory, sentinel } }) =>
      `make "${directory}", the archive of this standby, for cluster ${sentinel.systemIdentifier}`,
    run: ({ deps }, { archive }) => makeArchive(deps, archive),
  }),
  offer: rejoinStep<{ readonly files: readonly Unsent[]; readonly to: string }>({
    say: ({ files, to }, { address }) =>
      `offer ${files.length} WAL files to the archive of ${address.host} (${to}): ${files.map(({ name }) => name).join(', ')}`,
    run: async (context, { files, to }) => {
      context.offered = await offerWal(context.deps, context.directory, context.host, to, files);
    },
  }),
  'checkpoint-there': rejoinStep({
    say: (_step, { address }) =>
      `make a checkpoint on ${address.host} during the next steps, so that its pg_control shows its timeline`,
    run: (context) => {
      // Our WAL is offered meanwhile.
      context.checkpoint = context.host.query(checkpointSql, checkpointMs);
      context.checkpoint.catch(() => undefined);
      return Promise.resolve();
    },
    leavesNothing: true,
  }),
  rewind: rejoinStep<{
    readonly able: Extract<RewindAbility, { kind: 'able' }>;
    readonly settings: RecoverySettings;
  }>({
    say: ({ able }, { address, directory }) =>
      `make the files in ${directory.pgdata} those of ${address.host} by ${able.program}; no server can start on them meanwhile`,
    run: async ({ deps, directory, address, host, checkpoint }, { able, settings }) => {
      await checkpoint;
      await runRewind(deps, directory, settings, able, address, host.facts);
    },
  }),
  'put-back': rejoinStep({
    say: (_step, { directory }) => `put the files back in ${directory.pgdata}, with its own configuration`,
    run: ({ directory }) => moveBack(directory.pgdata),
  }),
};

export type RejoinStep = StepsOf<typeof rejoinSteps>;
