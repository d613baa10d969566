import type { LowLimit } from '../../../postgres/standby-limits.ts';
import { readPostmaster } from '../../../system/postmaster.ts';
import { hasKeptSlot } from '../../archive/keep/slot.ts';
import { type ArchiveFact, observeArchive } from '../../archive/own-archive.ts';
import type { ReadRecords } from '../../archive/read-records.ts';
import { type ArchivedEnd, checkArchive } from '../../archive/replay-check.ts';
import type { StandbyDeps } from '../../deps.ts';
import { type ConfCopy, planConfCopies } from '../../host/conf-files.ts';
import type { Liveness } from '../../primary/liveness/verdict.ts';
import { type Guard, readGuard } from '../../recovery/guard.ts';
import { presentTriggerFile, recoveryPlace } from '../../recovery/place.ts';
import { isReplayPaused } from '../../recovery/replayed.ts';
import type { RecoveryPlace } from '../../recovery/settings.ts';
import { hasUnfinishedFailover } from '../../recovery/unfinished-failover.ts';
import type { DataDirectory } from '../../server/data-directory.ts';
import { findServer } from '../../server/find-server.ts';
import { type MemoryForLimits, observeLowLimits, observeMemory } from '../../server/limits.ts';
import { readConfiguration, type ServerConfiguration } from '../../server/server-configuration.ts';
import { observeServer, type ServerState } from '../../server/server-state.ts';
import type { SiblingFacts } from '../../siblings/observe.ts';
import type { Force } from '../../steps/force.ts';
import { observeDelay, type ReplayDelay } from './delay.ts';
import type { Fence } from './fence.ts';
import { type LocalLogin, observeLocalLogin } from './local-login.ts';
import { type FailoverConf, failoverConf } from './use-conf.ts';

/** The facts about this host. */
export interface LocalFacts {
  readonly directory: DataDirectory;
  readonly state: ServerState;
  readonly isPaused: boolean;
  /** A setting that delays replay on purpose. */
  readonly delay: ReplayDelay | undefined;
  /** Whether the steps after a promotion can log in here. */
  readonly login: LocalLogin;
  readonly archive: ArchiveFact;
  /** The reasons why a promotion cannot replay everything in the archive. */
  readonly replayProblems: readonly string[];
  /** The location that must be replayed before a promotion. */
  readonly archivedEnd: ArchivedEnd | undefined;
  /** The archive contains nothing that is not replayed. */
  readonly isAllReplayed: boolean;
  /** An earlier promotion of this server that was not completed. */
  readonly guard: Guard | undefined;
  readonly place: RecoveryPlace;
  /** The configuration with which a standby is started here. */
  readonly configuration: ServerConfiguration;
  readonly standbyCopies: readonly ConfCopy[];
  readonly failoverConf: FailoverConf | undefined;
  /** An existing trigger file, which promotes a standby by itself. */
  readonly triggerFile: string | undefined;
  readonly action: string | undefined;
  /** Settings that are lower here than pg_control demands. */
  readonly lowLimits: readonly LowLimit[];
  /** Whether they can be raised; undefined if none is too low. */
  readonly memory: MemoryForLimits | undefined;
  /** A replication slot of ours keeps streamed WAL here. */
  readonly hasKeptSlot: boolean;
  /** The site's own command starts the server, so we cannot pass it a parameter. */
  readonly hasOwnStart: boolean;
}

/** The facts about all hosts. */
export interface FailoverFacts extends LocalFacts {
  readonly liveness: Liveness;
  /** When the primary had been asked, on the clock of `monotonicMs`; undefined if it need not be asked again. */
  readonly askedMs?: number;
  readonly siblings: SiblingFacts;
  readonly force: Force;
  /** --take-role. */
  readonly takesRole: boolean;
  readonly fence: Fence;
}

/** Whether the server had left recovery before this run; perhaps it has ended since. */
export function isOpened({ state, directory }: Pick<LocalFacts, 'state' | 'directory'>): boolean {
  return state.kind === 'production' || (state.kind === 'stopped' && hasUnfinishedFailover(directory));
}

/** A promoted server that became a standby again, perhaps months ago, may have left a guard. Such a guard means nothing. */
async function guardOf(
  { settings: { pgdata } }: StandbyDeps,
  state: ServerState,
): Promise<Guard | undefined> {
  const guard = await readGuard(pgdata);
  if (guard === undefined || state.kind === 'stopped' || state.kind === 'production') return guard;
  const postmaster = await readPostmaster(pgdata);
  return postmaster.kind === 'running' && postmaster.pid === guard.pid ? guard : undefined;
}

/** @param isToTarget a recovery to a target examines the archive itself, and a promoted server does not need it */
export async function observeHere(
  deps: StandbyDeps,
  isToTarget = false,
  readRecords?: ReadRecords,
): Promise<LocalFacts> {
  const { settings } = deps;
  const { server, directory } = await findServer(deps, 'failover');
  const configuration = await readConfiguration(server, 'standby');
  const state = await observeServer(server);
  const conf = await failoverConf(server);
  const archive = await observeArchive(settings.archivedir, directory);
  const replayed = state.kind === 'recovering' ? state.replayed : undefined;
  const replays = !isToTarget && state.kind !== 'production';
  const check =
    archive.kind === 'archive' && replays
      ? await checkArchive(deps, directory, archive.archive, replayed, readRecords)
      : undefined;
  const question = { server, configuration, state };
  const isPaused = await isReplayPaused(server, state);
  const lowLimits = await observeLowLimits(question);
  return {
    directory,
    state,
    lowLimits,
    memory: lowLimits.length === 0 ? undefined : await observeMemory(question, lowLimits),
    hasKeptSlot: await hasKeptSlot(settings.pgdata),
    hasOwnStart: settings.start_command !== undefined,
    isPaused,
    delay: await observeDelay(server, state, directory.record, configuration),
    login: await observeLocalLogin({
      server,
      state,
      configuration,
      failoverConfiguration: conf?.configuration,
      // A recovery to a target, and a restart with higher settings, need no resumption.
      isToResume: isPaused && !isToTarget && lowLimits.length === 0,
    }),
    archive,
    replayProblems: check?.problems ?? [],
    archivedEnd: check?.end,
    isAllReplayed: check?.isAllReplayed === true,
    guard: await guardOf(deps, state),
    place: await recoveryPlace(server, configuration),
    configuration,
    standbyCopies: await planConfCopies(settings, 'standby'),
    failoverConf: conf,
    triggerFile: await presentTriggerFile(server),
    action: settings.action_failover,
  };
}
