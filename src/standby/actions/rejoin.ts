import { join } from 'node:path';
import { exitCodes, PitrError, refusal } from '../../errors.ts';
import { formatLsn } from '../../postgres/lsn.ts';
import { isThisHost } from '../../system/own-addresses.ts';
import { commitsFrom } from '../archive/last-commit.ts';
import type { ActionOptions, BackupOptions, StandbyDeps } from '../deps.ts';
import { type EndOfWal, observeEnd } from '../follow/end-of-wal.ts';
import { type FollowRequest, observeOwn, type OwnFacts, toward } from '../follow/facts.ts';
import { followHost } from '../follow/follow.ts';
import { type Host, type HostAnswer, withHost } from '../follow/host.ts';
import { type ArchiveThere, observeArchiveThere } from '../follow/host-archive.ts';
import { type Address, changeIni } from '../follow/ini-file.ts';
import { forkOf, whyNotContained } from '../follow/lineage.ts';
import { isFormerPrimary } from '../follow/plan.ts';
import { describeFollowed } from '../follow/see-it-follow.ts';
import { describeLacking, describeUnknownWal, observeWalFor, type WalToCome } from '../follow/wal-to-come.ts';
import { noteHistory } from '../host/history.ts';
import type { Offered } from '../rejoin/offer-wal.ts';
import { listRejoinObjections, planRejoin, type RejoinFacts } from '../rejoin/plan.ts';
import { describeOnlyQueued, observeOnlyQueued, type OnlyQueued } from '../rejoin/queued.ts';
import { observeRewind, type RewindAbility } from '../rejoin/rewind-ability.ts';
import { moveBack, rewindPhase } from '../rejoin/rewind-directory.ts';
import { RewindFailed } from '../rejoin/run-rewind.ts';
import { type RejoinContext, rejoinSteps } from '../rejoin/steps.ts';
import { phaseWords, takeUpRewind } from '../rejoin/take-up.ts';
import { observeUnsent, type Unsent } from '../rejoin/unsent.ts';
import { chooseWay, describeOnlyHere, describeWay, type OnlyHere, type Way } from '../rejoin/way.ts';
import { readDataDirectory } from '../server/data-directory.ts';
import { notStartedHere } from '../server/local-server.ts';
import type { Server } from '../server/server.ts';
import { perform } from '../steps/carry-out.ts';
import { type Answered, noForce } from '../steps/force.ts';
import { refuseOn } from '../steps/objections.ts';

/** The actions that end the way of a base backup. */
interface BaseBackupActions {
  readonly baseBackup: (deps: StandbyDeps, options: BackupOptions) => Promise<number>;
  readonly startStandby: (deps: StandbyDeps, options: ActionOptions) => Promise<number>;
}

/** They are many modules, and most calls need none of them. */
type LoadActions = () => Promise<BaseBackupActions>;

interface Rejoin {
  readonly deps: StandbyDeps;
  readonly options: ActionOptions;
  readonly request: FollowRequest;
  readonly load: LoadActions;
}

/** The objections of -B to a server that was not shut down: the WAL that is only here was offered to the new primary. */
function answersFor({ host, port }: Address): Answered {
  return {
    kind: 'answered',
    by: '--rejoin',
    names: ['crashed', 'unfinished-failover'],
    otherwise: (name) =>
      `--rejoin cannot overrule it. By hand: with master_public_ip: ${host} and port: ${port} in the INI file, cmd_standby -C FILE -B --force=${name}, then -S.`,
  };
}

function backupOptions({ address }: FollowRequest, dryRun: boolean): BackupOptions {
  return { dryRun, force: answersFor(address), verify: false, json: false };
}

async function seeItFollow({ deps, request }: Rejoin): Promise<number> {
  const { address } = request;
  const followed = await followHost(toward(deps, address), request, { dryRun: false });
  if (followed !== undefined) {
    await noteHistory(deps, { kind: 'rejoined', primary: address.host, way: 'by a base backup' });
    deps.report(describeFollowed(followed, address));
  }
  return 0;
}

/** A refusal is a failure once something was changed. */
async function afterChanges(run: () => Promise<number>): Promise<number> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof PitrError) || error.exitCode !== exitCodes.refused) throw error;
    const { message, detail, hint, cause } = error;
    throw new PitrError(message.replace(/; nothing was changed$/, ''), { detail, hint, cause });
  }
}

/** By -B and -S. The files here may be damaged, so nothing is asked of them. */
async function byBaseBackup(rejoin: Rejoin): Promise<number> {
  const { deps, request, load } = rejoin;
  const actions = await load();
  await changeIni(deps, request.address);
  const there = toward(deps, request.address);
  const made = await afterChanges(() => actions.baseBackup(there, backupOptions(request, false)));
  if (made !== 0) return made;
  const started = await afterChanges(() => actions.startStandby(there, { dryRun: false, force: noForce }));
  return started === 0 ? seeItFollow(rejoin) : started;
}

/** -B names its objections before anything changes. */
async function checkBaseBackup({ deps, options, request, load }: Rejoin): Promise<void> {
  const report = options.dryRun
    ? deps.report
    : (line: string) => {
        deps.log.debug(line);
      };
  const { baseBackup } = await load();
  await baseBackup({ ...toward(deps, request.address), report }, backupOptions(request, true));
}

function reportOffered({ report }: StandbyDeps, host: string, offered: Offered | undefined): void {
  if (offered === undefined) return;
  const { stored, present, kept, directory } = offered;
  if (stored.length > 0) report(`Stored in the archive of ${host}: ${stored.join(', ')}`);
  if (present.length > 0) report(`In the archive of ${host} already: ${present.join(', ')}`);
  if (kept.length > 0) report(`Kept on ${host} in ${directory}: ${kept.join(', ')}`);
}

async function observeOnlyHere(
  server: Server,
  { own }: OwnFacts,
  { facts }: Host,
): Promise<OnlyHere | undefined> {
  const fork = forkOf(own.timeline, facts);
  if (fork === undefined || own.unknown !== undefined || own.lsn <= fork) return undefined;
  const walDirectory = join(server.pgdata, server.capabilities.walDirName);
  const commits = await commitsFrom(server, walDirectory, own.timeline, formatLsn(fork));
  return { fork, end: own.lsn, commits };
}

interface Observed {
  readonly way: Way;
  readonly unsent: readonly Unsent[];
  readonly archiveThere: ArchiveThere;
  readonly onlyHere: OnlyHere | undefined;
  readonly onlyQueued?: OnlyQueued | undefined;
  readonly walToCome: WalToCome;
}

const nothing: Observed = {
  way: { kind: 'none' },
  unsent: [],
  archiveThere: { kind: 'unusable', directory: '', reason: '' },
  onlyHere: undefined,
  walToCome: { kind: 'there' },
};

/** The facts that this host alone knows. */
interface OwnSide {
  readonly own: OwnFacts;
  /** Only a former primary has one. */
  readonly end: EndOfWal | undefined;
  readonly ability: Promise<RewindAbility> | undefined;
}

/** All of it is asked while the connection is made, though the way without pg_rewind does not need it all. */
async function observeOwnSide(deps: StandbyDeps, address: Address, stop: AbortSignal): Promise<OwnSide> {
  const own = await observeOwn(deps, address, true);
  if (!isFormerPrimary(own)) return { own, end: undefined, ability: undefined };
  const { directory } = own.start;
  const end = own.own.end ?? (await observeEnd(directory, deps.signal));
  const signal = AbortSignal.any([deps.signal, stop]);
  const ability = observeRewind({ ...deps, signal }, directory, end.kind === 'clean', address);
  ability.catch(() => undefined);
  return { own, end, ability };
}

async function observe({ deps, request }: Rejoin, side: OwnSide, answer: HostAnswer): Promise<Observed> {
  const { own, end } = side;
  const { directory } = own.start;
  const { address } = request;
  if (answer.kind === 'silent') return nothing;
  const { host } = answer;
  if (end === undefined || directory.control?.systemIdentifier !== host.facts.systemIdentifier)
    return { ...nothing, walToCome: await observeWalFor(deps, own, answer, address) };
  const reason = whyNotContained(own.own, host.facts);
  const [ability, unsent, archiveThere, walToCome, onlyHere] = await Promise.all([
    reason === undefined ? undefined : side.ability,
    observeUnsent(directory, end, own.own, host.facts, reason === undefined),
    observeArchiveThere(deps, address.host, host),
    observeWalFor(deps, own, answer, address),
    observeOnlyHere(own.server, own, host),
  ]);
  return {
    way: chooseWay(
      reason,
      describeLacking(walToCome, address.host),
      () => ability ?? { kind: 'unable', reasons: [] },
    ),
    unsent,
    archiveThere,
    onlyHere,
    onlyQueued: await observeOnlyQueued(deps, directory, own.own, host.facts, unsent),
    walToCome,
  };
}

/** Carries out the plan up to a server that is seen following, or up to a base backup. */
async function carryOut(
  rejoin: Rejoin,
  facts: RejoinFacts,
  context: RejoinContext,
): Promise<'done' | 'base-backup'> {
  const { deps, options, request } = rejoin;
  const steps = planRejoin(facts, deps.iniFile);
  try {
    if (!(await perform(deps, options, steps, rejoinSteps, context))) return 'done';
  } catch (error) {
    if (!(error instanceof RewindFailed)) throw error;
    const phase = await rewindPhase(deps.settings.pgdata);
    if (phase === 'moving') {
      await moveBack(deps.settings.pgdata);
      throw error;
    }
    deps.log.error(error.message, { detail: error.detail ?? '' });
    await takeUpRewind(deps, 'rewinding');
    deps.report(`Way: a base backup of ${request.address.host} (-B), because pg_rewind failed`);
    return 'base-backup';
  } finally {
    reportOffered(deps, request.address.host, context.offered);
  }
  return facts.way.kind === 'base-backup' ? 'base-backup' : 'done';
}

async function rejoinObserved(rejoin: Rejoin): Promise<number> {
  const { deps, options, request } = rejoin;
  const { address } = request;
  const stop = new AbortController();
  // Meanwhile the connection is made.
  const observing = observeOwnSide(deps, address, stop.signal);
  observing.catch(() => undefined);
  return withHost(toward(deps, address), async (answer) => {
    const side = await observing;
    const { server, makesArchive, ...own } = side.own;
    const observed = await observe(rejoin, side, answer).finally(() => {
      stop.abort();
    });
    const { walToCome } = observed;
    const facts: RejoinFacts = { ...observed, makesArchive, follow: { ...own, request, answer, walToCome } };
    refuseOn(listRejoinObjections(facts, deps.iniFile), noForce);
    if (answer.kind === 'silent') throw answer.error;
    if (isFormerPrimary(own)) deps.report(describeWay(observed.way, address.host));
    if (observed.onlyHere !== undefined) deps.report(describeOnlyHere(observed.onlyHere));
    if (observed.onlyQueued !== undefined) deps.report(describeOnlyQueued(observed.onlyQueued));
    if (observed.walToCome.kind === 'unknown' && observed.way.kind !== 'base-backup')
      deps.report(describeUnknownWal(observed.walToCome.reason));
    // Without an archive -B would refuse.
    if (observed.way.kind === 'base-backup' && !makesArchive) await checkBaseBackup(rejoin);
    const { host } = answer;
    const { directory } = own.start;
    const context: RejoinContext = { deps, server, started: notStartedHere, host, address, directory };
    const end = await carryOut(rejoin, facts, context);
    if (end === 'base-backup' && !options.dryRun) return byBaseBackup(rejoin);
    if (context.followed !== undefined) {
      const way = observed.way.kind === 'rewind' ? 'by pg_rewind' : 'as it was';
      await noteHistory(deps, { kind: 'rejoined', primary: address.host, way });
      deps.report(describeFollowed(context.followed, address));
    }
    return 0;
  });
}

/** By the INI file, unless it names this host itself, as that of a primary may do. */
async function defaultAddress({ settings }: StandbyDeps): Promise<Address> {
  const { master_public_ip: host, port } = settings;
  if (!(await isThisHost(host))) return { host, port };
  throw refusal(`master_public_ip: "${host}" is this very host`, {
    hint: 'Name the new primary: cmd_standby -C … --rejoin HOST',
  });
}

/** `--rejoin`: a former primary becomes a standby of the new one, in the cheapest sound way. */
export async function rejoinPrimary(
  deps: StandbyDeps,
  options: ActionOptions,
  given: { readonly host: string; readonly port: number | undefined } | undefined,
  load: LoadActions,
): Promise<number> {
  const { settings } = deps;
  const address =
    given === undefined
      ? await defaultAddress(deps)
      : { host: given.host, port: given.port ?? settings.port };
  const request: FollowRequest = { address, expected: undefined, mayBePrimary: true };
  const rejoin: Rejoin = { deps, options, request, load };
  const phase = await rewindPhase(settings.pgdata);
  if (phase !== undefined) {
    if (options.dryRun) {
      deps.report(`An interrupted pg_rewind ${phaseWords[phase]}. Then --rejoin continues.`);
      return 0;
    }
    return afterChanges(async () => {
      await takeUpRewind(deps, phase);
      return rejoinFrom(rejoin);
    });
  }
  return rejoinFrom(rejoin);
}

/** No rewind is interrupted here any more. */
async function rejoinFrom(rejoin: Rejoin): Promise<number> {
  const { deps, options, request } = rejoin;
  if (!(await readDataDirectory(deps.settings.pgdata)).isIncomplete) return rejoinObserved(rejoin);
  deps.report(`Way: a base backup of ${request.address.host} (-B), because the files here are incomplete`);
  if (!options.dryRun) return byBaseBackup(rejoin);
  await checkBaseBackup(rejoin);
  return 0;
}
