import { userInfo } from 'node:os';
import { once } from '../../check/check.ts';
import type { StandbyDeps } from '../deps.ts';
import { ownCommand } from '../host/own-command.ts';
import { peerCommand } from '../peers/peer.ts';
import { type DataDirectory, readDataDirectory } from '../server/data-directory.ts';
import { type Server, serverOf } from '../server/server.ts';
import { observeServer, type ServerState } from '../server/server-state.ts';
import { type Surveyed, surveyPrimary } from './survey.ts';

/** The server in pgdata, if a base backup has been made here. */
interface OwnServer {
  readonly server: Server;
  readonly directory: DataDirectory;
  readonly state: ServerState;
}

/** A dry run of another action: it changes nothing, and throws its refusal. */
export type DryRun = (deps: StandbyDeps) => Promise<number>;

/** Everything that several checks ask; it is asked once. */
export interface StandbyCheck {
  readonly deps: StandbyDeps;
  /** `cmd_standby -C FILE`, to be typed. */
  readonly command: string;
  /** The system user who runs this. */
  readonly me: string;
  readonly primary: () => Promise<Surveyed>;
  /** Undefined as long as there is no complete base backup. */
  readonly own: () => Promise<OwnServer | undefined>;
  readonly trySwitchover: DryRun;
  /** Nothing is written, not even for a moment. */
  readonly dryRun: boolean;
}

async function observeOwn(deps: StandbyDeps): Promise<OwnServer | undefined> {
  const directory = await readDataDirectory(deps.settings.pgdata).catch(() => undefined);
  if (directory?.control === undefined || directory.isIncomplete) return undefined;
  const server = serverOf(deps, directory.capabilities);
  return { server, directory, state: await observeServer(server) };
}

export function standbyCheck(deps: StandbyDeps, dryRun: boolean, trySwitchover: DryRun): StandbyCheck {
  const { program, iniFile } = ownCommand(deps);
  return {
    deps,
    command: `${program} -C ${iniFile}`,
    me: userInfo().username,
    primary: once(() => surveyPrimary(deps, peerCommand(deps))),
    own: once(() => observeOwn(deps)),
    trySwitchover,
    dryRun,
  };
}
