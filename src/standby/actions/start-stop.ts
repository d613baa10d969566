import type { Postmaster } from '../../system/postmaster.ts';
import type { ActionOptions, StandbyDeps } from '../deps.ts';
import { sayTraceHere, sayTraceOfStop } from '../hand-over/half-stopped.ts';
import { hasRecord } from '../host/backup-record/record.ts';
import { isInFailoverConfiguration } from '../recovery/unfinished-failover.ts';
import { type DataDirectory, readCapabilities, wasInRecovery } from '../server/data-directory.ts';
import { findServer, type FoundServer } from '../server/find-server.ts';
import { notStartedHere } from '../server/local-server.ts';
import { mustRecover } from '../server/reach.ts';
import { serverOf } from '../server/server.ts';
import { readConfiguration, type ServerConfiguration } from '../server/server-configuration.ts';
import { observeServer, requireClearPostmaster, type ServerState } from '../server/server-state.ts';
import { perform } from '../steps/carry-out.ts';
import { type Force, noForce } from '../steps/force.ts';
import { type Objection, refuseOn, runningObjection, sayOverruled, when } from '../steps/objections.ts';
import { type ServerContext, serverStep, serverSteps } from '../steps/server-steps.ts';
import type { StepsOf } from '../steps/step-table.ts';

export interface ControlFacts extends Omit<FoundServer, 'server'> {
  readonly configuration: ServerConfiguration;
}

/** Without recovery settings, a base backup or a standby would open as an independent server. */
function unpreparedObjections(directory: DataDirectory): readonly Objection[] {
  const { backupLabel, control, pgdata, record, controlProblem = '' } = directory;
  if (control === undefined) return [{ message: `cannot start on "${pgdata}": ${controlProblem}` }];
  if (record.settings?.mode === 'held')
    return [
      {
        message: `an interrupted recovery is on hold in "${pgdata}": -A start cannot continue it`,
        hint: 'Run -S to continue as a standby, -F999 with a target to continue to that target, or -F999 to continue to the end of the WAL.',
      },
    ];
  if (directory.hasRecoverySettings) return [];
  return when(backupLabel !== undefined || wasInRecovery(control), {
    message: `"${pgdata}" holds a standby, or a base backup, without recovery settings`,
    hint: 'Start it as a standby: cmd_standby -C … -S',
  });
}

export function planStart(facts: ControlFacts): readonly ControlStep[] {
  const { directory, postmaster, configuration } = facts;
  const objections =
    postmaster.kind === 'running'
      ? [runningObjection(directory, postmaster.pid)]
      : unpreparedObjections(directory);
  refuseOn(objections, noForce);
  return [{ kind: 'start-server', configuration }, { kind: 'see-it-run' }];
}

export interface StopFacts {
  readonly pgdata: string;
  readonly postmaster: Postmaster;
  /** The state of a server that has no record of ours; undefined for a server with a record. */
  readonly foreignState: ServerState | undefined;
  readonly force: Force;
}

/** -A stop may stop a standby that another tool made. A server that may take writes was never ours to stop. */
export function listStopObjections({ pgdata, postmaster, foreignState }: StopFacts): readonly Objection[] {
  if (foreignState === undefined || postmaster.kind !== 'running') return [];
  if (foreignState.kind === 'recovering' || foreignState.kind === 'stopped') return [];
  const what = foreignState.kind === 'production' ? 'is in production' : 'is not known to be a standby';
  return [
    {
      name: 'production',
      message: `the server in "${pgdata}" (pid ${postmaster.pid}) ${what} and bears no record of -B, -S or -F999`,
      hint: 'This host may be the primary. Run cmd_standby only on the standby.',
      cost: 'it is stopped',
    },
  ];
}

export function planStop(facts: StopFacts): readonly ControlStep[] {
  refuseOn(listStopObjections(facts), facts.force);
  const { postmaster } = facts;
  return postmaster.kind === 'running' ? [{ kind: 'stop-server', pid: postmaster.pid }] : [];
}

async function seeItRun(context: ServerContext): Promise<void> {
  const message = 'the server was started, but is not seen running';
  const { kind } = await mustRecover(context, { mayBeOpen: true, message });
  context.server.deps.report(kind === 'recovering' ? 'server started as a standby' : 'server started');
}

const controlSteps = {
  ...serverSteps,
  'stop-server': serverStep<{ readonly pid: number }>({
    ...serverSteps['stop-server'],
    say: ({ pid }) => `stop the server (pid ${pid}) fast, and wait for its end`,
  }),
  'see-it-run': serverStep({
    say: () => 'wait until it is seen recovering or serving',
    run: seeItRun,
  }),
};

type ControlStep = StepsOf<typeof controlSteps>;

/** `-A start`: starts the server in whatever mode its data directory says. */
export async function startServer(deps: StandbyDeps, options: ActionOptions): Promise<number> {
  const { server, directory, postmaster } = await findServer(deps, 'start');
  await sayTraceOfStop(deps, directory);
  const role = isInFailoverConfiguration(directory.record) ? 'failover' : 'standby';
  const configuration = await readConfiguration(server, role);
  const steps = planStart({ directory, postmaster, configuration });
  await perform(deps, options, steps, controlSteps, { server, started: notStartedHere });
  return 0;
}

/** `-A stop`: stops the server by a fast shutdown. Reports success only when none of its processes is left. */
export async function stopServer(deps: StandbyDeps, options: ActionOptions): Promise<number> {
  const postmaster = await requireClearPostmaster(deps);
  const { pgdata } = deps.settings;
  const server = serverOf(deps, await readCapabilities(pgdata));
  await sayTraceHere(deps);
  const facts: StopFacts = {
    pgdata,
    postmaster,
    foreignState: (await hasRecord(pgdata)) ? undefined : await observeServer(server),
    force: options.force,
  };
  const steps = planStop(facts);
  sayOverruled(deps, listStopObjections(facts), options.force);
  const context = { server, started: notStartedHere };
  if (!(await perform(deps, options, steps, controlSteps, context))) return 0;
  deps.report(steps.length === 0 ? 'server is not running' : 'server stopped');
  return 0;
}
