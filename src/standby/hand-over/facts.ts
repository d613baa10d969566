import { join } from 'node:path';
import { runningBackupsSql } from '../../postgres/backup-sql.ts';
import type { Capabilities } from '../../postgres/capabilities.ts';
import type { ControlFile } from '../../postgres/control-file.ts';
import type { LocalSql } from '../../system/local-sql.ts';
import type { AnswerOf, ArgumentsOf } from '../../verbs/verbs.ts';
import type { StandbyDeps } from '../deps.ts';
import { planConfCopies } from '../host/conf-files.ts';
import { presentTriggerFile, streamingOf } from '../recovery/place.ts';
import { findServer } from '../server/find-server.ts';
import type { Server } from '../server/server.ts';
import { requirePgCtl } from '../server/server-programs.ts';
import { mustAnswer, observeServer, type ServerState } from '../server/server-state.ts';
import { listSlots, type Slot } from '../server/slots.ts';
import { ownSlotName } from '../slot/own-name.ts';
import { attempt, type Objection, objectionsOf, when } from '../steps/objections.ts';
import { archiveObjections } from './archive-there.ts';
import { findOwnServer, timelineOf } from './own-server.ts';
import { readShutdown } from './shutdown.ts';
import { supervisorObjections } from './supervisor.ts';

type Facts = AnswerOf<'primary-facts'>;

interface Asked {
  readonly slots: readonly Slot[];
  readonly syncsSlots?: boolean;
  readonly synchronousStandbyNames: string;
  readonly runningBackups: number;
}

async function ask(sql: LocalSql, capabilities: Capabilities): Promise<Asked> {
  const slots = await listSlots(sql, capabilities);
  const [row] = await sql(
    "SELECT current_setting('synchronous_standby_names') AS names, (SELECT setting FROM pg_settings WHERE name = 'sync_replication_slots') AS syncs",
  );
  const [running] = await sql(runningBackupsSql(capabilities));
  return {
    slots,
    ...(typeof row?.['syncs'] === 'string' ? { syncsSlots: row['syncs'] === 'on' } : {}),
    synchronousStandbyNames: String(row?.['names']),
    runningBackups: Number(running?.['backups']),
  };
}

const unasked: Asked = { slots: [], synchronousStandbyNames: '', runningBackups: 0 };

/** Also of one that is a standby by now: slots may remain on it. */
async function askIfItAnswers(server: Server, state: ServerState): Promise<Asked> {
  const answers = (state.kind === 'production' || state.kind === 'recovering') && state.answers;
  if (!answers) return unasked;
  return mustAnswer(server, 'cannot determine the facts of the server', (sql) =>
    ask(sql, server.capabilities),
  );
}

/** All that keeps this primary from becoming a standby, as far as this host alone can see it. */
async function listProblems(
  { deps, capabilities }: Server,
  cluster: string,
  wasStandby: boolean,
  { runningBackups }: Asked,
): Promise<readonly Objection[]> {
  const { settings } = deps;
  // For its start as a standby, findServer looks for it.
  const isPgCtlNeeded = settings.start_command !== undefined && settings.stop_command === undefined;
  const trigger = await presentTriggerFile({ deps, capabilities, pgdata: settings.pgdata });
  return [
    ...(await objectionsOf([() => findServer(deps, 'start')])),
    ...(isPgCtlNeeded ? await objectionsOf([() => requirePgCtl(deps, capabilities)]) : []),
    ...(await objectionsOf([() => planConfCopies(settings, 'standby')])),
    ...(await supervisorObjections(deps)),
    ...(await archiveObjections(deps, cluster, wasStandby)),
    ...attempt(() => streamingOf({ deps, capabilities, pgdata: settings.pgdata }, {})).objections,
    ...when(trigger !== undefined, {
      message: `the trigger file "${trigger ?? ''}" is there: the server would be promoted as soon as it is a standby`,
      hint: `Remove it: rm ${trigger ?? ''}`,
    }),
    ...when(runningBackups > 0, {
      message: 'a base backup of the primary is running, and would be ended',
      hint: 'Wait for its end, or end it where it was begun.',
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
  const asked = await askIfItAnswers(server, state);
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
    slots: asked.slots,
    ...(asked.syncsSlots === undefined ? {} : { syncsSlots: asked.syncsSlots }),
    synchronousStandbyNames: asked.synchronousStandbyNames,
    problems: (await listProblems(server, cluster, wasStandby, asked)).map(({ message, hint }) => ({
      message,
      hint,
    })),
  };
}
