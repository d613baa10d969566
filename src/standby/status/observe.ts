/** Everything that cmd_standby --status looks at, each fact by itself: one that fails hides no other. */
import { join } from 'node:path';
import { clockFact } from '../../status/clocks.ts';
import { diskSamples, observeDisks, withForecast } from '../../status/disks.ts';
import { conclude, derive, type Fact, known, look, NotKnown, valueOf } from '../../status/fact.ts';
import { noSamples, sample } from '../../status/samples.ts';
import { exists } from '../../system/durable.ts';
import { lookAtPrimary } from '../primary/liveness/liveness.ts';
import { type DataDirectory, readDataDirectory } from '../server/data-directory.ts';
import { provedPlace } from '../server/progress.ts';
import { serverOf } from '../server/server.ts';
import { observeServer, type ServerState } from '../server/server-state.ts';
import { askOthers } from '../siblings/observe.ts';
import { observeArchiveState } from './archive.ts';
import { backupFacts } from './backup.ts';
import { concludeLoss, failoverFacts, lagsOf, reachOf, samplesOf } from './conclusions.ts';
import { observeDrills } from './drill.ts';
import type { ClusterFacts, Shown, StandbyFacts } from './facts.ts';
import { modeOf } from './mode.ts';
import { type AskFailover, otherStandby, primaryFacts } from './others.ts';
import { observeRecovery } from './server.ts';
import { observeUnfinished } from './unfinished.ts';
import { readSome, type StatusDeps } from './view.ts';

/** The time for the samples if the other looks have used up theirs. */
const sampleMs = 300;
/** In archivedir: numbers of the last two hours. */
const samplesName = '.cmd_standby.samples.json';
async function directoryOf({ settings: { pgdata } }: StatusDeps): Promise<DataDirectory | undefined> {
  return (await exists(join(pgdata, 'PG_VERSION'))) ? readDataDirectory(pgdata) : undefined;
}

function requireCluster(directory: Fact<DataDirectory | undefined>): DataDirectory {
  const found = known(directory);
  if (found === undefined) throw new NotKnown('pgdata holds no cluster');
  return found;
}

function clusterOf({ control, controlProblem, backupLabel }: DataDirectory): ClusterFacts {
  if (control === undefined) throw new NotKnown(controlProblem ?? 'there is no pg_control');
  const timeline = backupLabel?.startSegment.timeline ?? provedPlace(control).timeline;
  return { systemIdentifier: control.systemIdentifier, timeline };
}

/** An archive that is not mounted must not get a file into its mount point. */
async function takeSamples(deps: StatusDeps, shown: Shown, values: Readonly<Record<string, number>>) {
  if (valueOf(shown.archive)?.kind !== 'archive') return noSamples;
  const last = { ...deps, endMs: Math.max(deps.endMs, deps.monotonicMs() + sampleMs) };
  const path = join(deps.settings.archivedir, samplesName);
  return valueOf(await look(last, () => sample(deps, path, values))) ?? noSamples;
}

async function observe(deps: StatusDeps, askFailover: AskFailover, command: string): Promise<Shown> {
  // The questions to other hosts take the longest.
  const primaryLook = lookAtPrimary(deps, true);
  const asked = askOthers(deps);
  const failover = askFailover(deps, {
    primary: async () => (await primaryLook).liveness,
    others: () => asked,
    readRecords: readSome,
  });
  const [primary, others, now] = [
    look(deps, () => primaryLook),
    look(deps, () => asked),
    look(deps, () => failover),
  ];
  const directory = await look(deps, () => directoryOf(deps));
  const state: Fact<ServerState> = await look(deps, async () => {
    const found = known(directory);
    if (found === undefined) return { kind: 'stopped' } as const;
    return observeServer(serverOf(deps, found.capabilities));
  });
  const cluster = conclude(deps, () => requireCluster(directory));
  const recovering = observeRecovery(deps, cluster, state);
  const [recovery, drills, archive, unfinished, seenPrimary, seenOthers, seenNow] = await Promise.all([
    recovering,
    look(deps, () => observeDrills(deps)),
    look(deps, async () => {
      const { replayed } = await recovering;
      return observeArchiveState(deps, known(directory), valueOf(replayed)?.lsn);
    }),
    look(deps, async () => {
      const found = known(directory);
      return found === undefined ? [] : observeUnfinished(deps, found, known(state), command);
    }),
    primary,
    others,
    now,
  ]);
  const isPrimary = valueOf(state)?.kind === 'production';
  const standbys = conclude(deps, () => {
    const { list, siblings } = known(seenOthers);
    if (list?.kind !== 'known') return undefined;
    if (siblings.length < list.targets.length && siblings.length === 0)
      throw new NotKnown('without the pg_control of its own cluster, this host asks nobody');
    return siblings.map((sibling) => otherStandby(deps, sibling));
  });
  return {
    ...recovery,
    mode: conclude(deps, () => modeOf(known(directory), known(state))),
    version: derive(cluster, ({ capabilities }) => capabilities.version.major),
    cluster: conclude(deps, () => clusterOf(known(cluster))),
    archive,
    backup: derive(cluster, (found) => backupFacts(found, deps.now())),
    drill: derive(drills, ({ ofStandby }) => ofStandby),
    backupDrill: derive(drills, ({ fromBackup }) => fromBackup),
    unfinished,
    primary: isPrimary
      ? { kind: 'seen', value: undefined, atMs: deps.now() }
      : derive(seenPrimary, primaryFacts),
    primaryClock: isPrimary
      ? { kind: 'seen', value: undefined, atMs: deps.now() }
      : conclude(deps, () => known(clockFact(deps, 'the primary', known(seenPrimary).clock))),
    standbys,
    now: seenNow,
  };
}

async function diskPlaces({ settings: { pgdata, archivedir } }: StatusDeps) {
  const wal = join(pgdata, 'pg_wal');
  const path = (await exists(wal).catch(() => false)) ? wal : join(pgdata, 'pg_xlog');
  return [
    { name: 'pg_wal', path },
    { name: 'archivedir', path: archivedir },
  ];
}

/** @param command `cmd_standby -C FILE`, to be typed */
export async function observeStandby(
  deps: StatusDeps,
  askFailover: AskFailover,
  command: string,
): Promise<StandbyFacts> {
  const [shown, disks] = await Promise.all([
    observe(deps, askFailover, command),
    diskPlaces(deps).then((places) => observeDisks(deps, places)),
  ]);
  const samples = await takeSamples(deps, shown, { ...diskSamples(disks), ...samplesOf(shown) });
  const nowMs = deps.monotonicMs();
  const loss = concludeLoss(deps, shown, samples, nowMs);
  const reach = conclude(deps, () => reachOf(shown));
  const { now, ...facts } = shown;
  const isPrimary = valueOf(shown.mode) === 'primary';
  return {
    ...facts,
    ...lagsOf(deps, shown),
    failover: isPrimary
      ? { kind: 'seen', value: undefined, atMs: deps.now() }
      : derive(now, (seen) => failoverFacts(seen, shown, valueOf(reach))),
    loss,
    disks: withForecast(disks, samples, nowMs),
  };
}
