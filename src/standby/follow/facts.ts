import { quoted } from '../../system/printable.ts';
import type { StandbyDeps } from '../deps.ts';
import { observeStart, type StartFacts } from '../recovery/standby-start.ts';
import { findServer } from '../server/find-server.ts';
import type { Server } from '../server/server.ts';
import { observeServer, type ServerState } from '../server/server-state.ts';
import { hasSlotsHere } from '../slot/for-others.ts';
import type { HostAnswer } from './host.ts';
import { type Address, type IniFact, observeIni } from './ini-file.ts';
import type { OwnPlace } from './lineage.ts';
import { archiveToMake } from './new-archive.ts';
import { observeOwnPlace } from './own-place.ts';
import type { WalToCome } from './wal-to-come.ts';

export interface FollowRequest {
  readonly address: Address;
  /** The facts that another host relies on that asks for this; undefined for a person. */
  readonly expected: { readonly cluster: string; readonly timeline: number } | undefined;
  /** Whether the server here may be a former primary that was stopped. */
  readonly mayBePrimary: boolean;
}

export interface FollowFacts {
  readonly request: FollowRequest;
  readonly answer: HostAnswer;
  readonly start: StartFacts;
  readonly state: ServerState;
  readonly own: OwnPlace;
  readonly ini: IniFact;
  /** Whether the WAL can be had that the server here must replay to come to the other one's present. */
  readonly walToCome: WalToCome;
  /** There are slots here by which standbys have streamed. */
  readonly hasSlots: boolean;
  /** Whether a reload puts another primary into force. */
  readonly reloads: boolean;
  /** Whether a standby that reads its archive only finds a new timeline there without a restart. */
  readonly findsTimelines: boolean;
  readonly hostName: string;
}

/** The settings as they will be when the INI file names the other server. */
export function toward(deps: StandbyDeps, { host, port }: Address): StandbyDeps {
  return { ...deps, settings: { ...deps.settings, master_public_ip: host, port } };
}

export interface OwnFacts extends Omit<FollowFacts, 'answer' | 'request' | 'walToCome'> {
  readonly server: Server;
  /** A primary that was never a standby has no archive yet. */
  readonly makesArchive: boolean;
}

/** Everything but the other server. */
export async function observeOwn(
  deps: StandbyDeps,
  address: Address,
  mayMakeArchive = false,
): Promise<OwnFacts> {
  const found = await findServer(toward(deps, address), 'start');
  const { server, directory } = found;
  const made = mayMakeArchive ? await archiveToMake(deps, directory) : undefined;
  const start = await observeStart(found, made);
  const state = await observeServer(server);
  return {
    server,
    start,
    makesArchive: made !== undefined,
    state,
    own: await observeOwnPlace(server, directory, state),
    ini: await observeIni(deps, address),
    hasSlots: await hasSlotsHere(directory),
    reloads: server.capabilities.reloadsPrimaryConninfo,
    findsTimelines: server.capabilities.findsNewTimelines,
    hostName: quoted(deps.hostName, 100),
  };
}
