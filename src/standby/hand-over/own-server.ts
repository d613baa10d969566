/** This host's server as the primary that hands its role over: these parts answer the verbs of a switchover. */
import { PitrError, refusal } from '../../errors.ts';
import type { ControlFile } from '../../postgres/control-file.ts';
import type { StandbyDeps } from '../deps.ts';
import { type DataDirectory, readDataDirectory } from '../server/data-directory.ts';
import { type Server, serverOf } from '../server/server.ts';
import { mustAnswer, observeServer, type ServerState } from '../server/server-state.ts';
import { writtenTimeline } from '../server/written-timeline.ts';

export interface OwnServer {
  readonly server: Server;
  readonly directory: DataDirectory;
  readonly control: ControlFile;
}

/** Refuses to answer for another cluster than the one that is meant. */
export async function findOwnServer(deps: StandbyDeps, cluster: string): Promise<OwnServer> {
  const directory = await readDataDirectory(deps.settings.pgdata);
  const { control, controlProblem, capabilities } = directory;
  if (control === undefined)
    throw new PitrError(`cannot use "${directory.pgdata}": ${controlProblem ?? 'it has no pg_control'}`);
  if (control.systemIdentifier !== cluster) {
    throw refusal(
      `"${directory.pgdata}" on this host belongs to cluster ${control.systemIdentifier}, not to ${cluster}`,
      { hint: "Check pgdata: in cmd_standby's INI file on this host." },
    );
  }
  return { server: serverOf(deps, capabilities), directory, control };
}

/** The timeline that it writes or, if it is stopped, wrote last. */
export async function timelineOf({ server, control }: OwnServer, state: ServerState): Promise<number> {
  if (state.kind !== 'production' || !state.answers) return control.timeline;
  return mustAnswer(server, 'cannot determine the timeline', (sql) =>
    writtenTimeline(sql, server.capabilities),
  );
}

/** A request that was made for another timeline is not for the server as it is now. */
export function requireTimeline(found: number, wanted: number): void {
  if (found === wanted) return;
  throw refusal(`the server on this host is on timeline ${found}, not on ${wanted}`, {
    hint: 'Run --switchover again: it looks at both hosts anew.',
  });
}

/** A primary that serves. */
export async function findPrimary(
  deps: StandbyDeps,
  { cluster, timeline }: { readonly cluster: string; readonly timeline?: number },
): Promise<OwnServer> {
  const own = await findOwnServer(deps, cluster);
  const state = await observeServer(own.server);
  if (state.kind !== 'production' || !state.answers)
    throw refusal(`the server in "${own.directory.pgdata}" on this host is no primary that answers`);
  if (timeline !== undefined) requireTimeline(await timelineOf(own, state), timeline);
  return own;
}
