import { join } from 'node:path';
import { type ControlFile } from '../../postgres/control-file.ts';
import type { LocalSql } from '../../system/local-sql.ts';
import type { AnswerOf, ArgumentsOf } from '../../verbs/verbs.ts';
import type { StandbyDeps } from '../deps.ts';
import { presentTriggerFile, streamingOf } from '../recovery/place.ts';
import type { Server } from '../server/server.ts';
import { requirePgCtl } from '../server/server-programs.ts';
import { mustAnswer, observeServer, type ServerState } from '../server/server-state.ts';
import { ownSlotName } from '../slot/own-name.ts';
import { attempt, type Objection, objectionsOf, when } from '../steps/objections.ts';
import { archiveObjections } from './archive-there.ts';
import { findOwnServer, timelineOf } from './own-server.ts';
import { readShutdown } from './shutdown.ts';
import { supervisorObjections } from './supervisor.ts';

type Facts = AnswerOf<'primary-facts'>;

interface Asked {
  readonly logicalSlots: readonly string[];
  readonly synchronousStandbyNames: string;
  readonly runningBackups: number;
}

async function ask(sql: LocalSql): Promise<Asked> {
  const slots = await sql(
    "SELECT slot_name::text AS name FROM pg_replication_slots WHERE slot_type = 'logical' ORDER BY 1",
  );
  const [row] = await sql(
    "SELECT current_setting('synchronous_standby_names') AS names, (SELECT count(*)::int FROM pg_stat_replication WHERE state = 'backup') AS backups",
  );
  return {
    logicalSlots: slots.map((slot) => String(slot['name'])),
    synchronousStandbyNames: String(row?.['names']),
    runningBackups: Number(row?.['backups']),
  };
}

const unasked: Asked = { logicalSlots: [], synchronousStandbyNames: '', runningBackups: 0 };

async function askIfPrimary(server: Server, state: ServerState): Promise<Asked> {
  return state.kind === 'production' && state.answers
    ? mustAnswer(server, 'cannot determine the facts of the primary', ask)
    : unasked;
}

/** All that keeps this primary from becoming a standby, as far as this host alone can see it. */
async function listProblems(
  { deps, capabilities }: Server,
  cluster: string,
  wasStandby: boolean,
  { runningBackups }: Asked,
): Promise<readonly Objection[]> {
  const { settings } = deps;
  const isPgCtlNeeded = settings.start_command === undefined || settings.stop_command === undefined;
  const trigger = await presentTriggerFile({ deps, capabilities, pgdata: settings.pgdata });
  return [
    ...(isPgCtlNeeded ? await objectionsOf([() => requirePgCtl(deps, capabilities)]) : []),
    ...(await supervisorObjections(deps)),
    ...(await archiveObjections(deps, cluster, wasStandby)),
    ...attempt(() => streamingOf({ deps, capabilities, pgdata: settings.pgdata }, {})).objections,
    ...when(trigger !== undefined, {
      message: `the trigger file "${trigger ?? ''}" is there: the server would be promoted as soon as it is a standby`,
      hint: `Remove it: rm ${trigger ?? ''}`,
    }),
    ...when(runningBackups > 0, {
      message: 'a base backup of the primary is running, and would be ended',
      hint: 'Wait for its end.',
    }),
  ];
}

async function shutdownOf(server: Server, control: ControlFile, state: ServerState) {
  if (state.kind !== 'stopped' || control.state !== 'shut-down') return undefined;
  return readShutdown(server);
}

/** `primary-facts`: see src/verbs/verbs.ts. */
export async function primaryFacts(
  deps: StandbyDeps,
  { cluster }: ArgumentsOf<'primary-facts'>,
): Promise<Facts> {
  const own = await findOwnServer(deps, cluster);
  const { server, directory, control } = own;
  const { settings } = deps;
  const { capabilities, record } = directory;
  const state = await observeServer(server);
  const asked = await askIfPrimary(server, state);
  const wasStandby = record.backup !== undefined || record.settings !== undefined;
  const shutdown = await shutdownOf(server, control, state);
  const streams = settings.use_streaming_replication && capabilities.streaming;
  const streamSlot = ownSlotName(deps, capabilities, record);
  return {
    // One that answers nobody may be stopping.
    server: state.kind === 'production' && !state.answers ? 'starting' : state.kind,
    timeline: await timelineOf(own, state),
    segmentSize: control.walSegmentSize ?? 0,
    version: capabilities.version.major,
    walDirectory: join(directory.pgdata, capabilities.walDirName),
    archivedir: settings.archivedir,
    ...(streams ? { streamsAs: deps.hostName } : {}),
    ...(streamSlot === undefined ? {} : { streamSlot }),
    ...(shutdown === undefined ? {} : { shutdown }),
    ...(record.stoppedFor === undefined ? {} : { stoppedFor: record.stoppedFor.host }),
    logicalSlots: asked.logicalSlots,
    synchronousStandbyNames: asked.synchronousStandbyNames,
    problems: (await listProblems(server, cluster, wasStandby, asked)).map(({ message, hint }) => ({
      message,
      hint,
    })),
  };
}
