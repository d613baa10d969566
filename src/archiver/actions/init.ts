import { join } from 'node:path';
import { messageOf, PitrError, refusal, usageError } from '../../errors.ts';
import { append } from '../../lists.ts';
import { ensureDirectory, exists } from '../../system/durable.ts';
import { quoted } from '../../system/printable.ts';
import { noiseHint } from '../../system/ssh.ts';
import type { PlantPermission } from '../../verbs/scripts/plant.ts';
import { type PlantResult, plantSentinel } from '../delivery/plant-sentinel.ts';
import type { ArchiverDeps } from '../deps.ts';
import { beginHistory, hasHistory, type Lane, lanesOf } from '../lane/lane.ts';
import { beginLaneState } from '../lane/modes.ts';
import { sshTargetOf } from '../lane/target.ts';
import { notTakenOver, refuseQueueProcess, sortUnsorted, takeQueues } from '../queue/earlier-release.ts';
import { mentionLeftoverQueues } from '../queue/leftover-queues.ts';
import { type Cluster, pinCluster, readCluster, readPinnedIdentifier } from '../wal/cluster.ts';
import { warnOfUntestedRelease } from '../wal/release.ts';

async function makeDirectories({ layout }: ArchiverDeps, lanes: readonly Lane[]): Promise<void> {
  for (const directory of [layout.root, layout.privateDirectory, layout.temporary]) {
    await ensureDirectory(directory);
  }
  for (const lane of lanes) {
    await beginHistory(lane);
    await ensureDirectory(lane.queue);
    await beginLaneState(lane);
  }
}

/** This server may have been a standby of another one. Its lanes then do not know which WAL its standbys have. */
async function hasFollowed(pgdata: string, { timeline }: Cluster): Promise<boolean> {
  if (timeline !== undefined && timeline > 1) return true;
  const traces = ['pitrtools.json', 'backup_label.old', 'recovery.done', 'recovery.conf', 'standby.signal'];
  for (const name of traces) if (await exists(join(pgdata, name))) return true;
  return false;
}

/** The facts by which one standby is judged. */
interface Probed {
  readonly lane: Lane;
  readonly result: PlantResult;
  readonly hasHistory: boolean;
}

async function permissionFor(
  deps: ArchiverDeps,
  lane: Lane,
  cluster: Cluster,
  plant: string | undefined,
): Promise<PlantPermission> {
  if (lane.name === plant) return 'always';
  if (await hasHistory(lane)) return 'never';
  return (await hasFollowed(deps.settings.pgdata, cluster)) ? 'never' : 'if-empty';
}

async function probe(
  deps: ArchiverDeps,
  lane: Lane,
  cluster: Cluster,
  permission: PlantPermission,
): Promise<PlantResult> {
  try {
    const target = await sshTargetOf(deps, lane);
    const planting = { cluster, pgdata: deps.settings.pgdata, nonce: deps.nonce(), permission };
    const connected = await deps.withRemoteShell(deps, target, (shell) =>
      plantSentinel(shell, lane.standby, planting),
    );
    if (connected.kind === 'used') return connected.value;
    return { kind: connected.kind === 'noisy' ? 'noisy' : 'unknown', reason: connected.reason };
  } catch (error) {
    return { kind: 'unknown', reason: messageOf(error) };
  }
}

/** A problem that must not be ignored, and how to solve it. */
interface Problem {
  readonly message: string;
  readonly hint: string;
}

const checkHint = 'Check host and r_archivedir of that standby in the INI file.';

function missingSentinel(deps: ArchiverDeps, { lane, hasHistory }: Probed): Problem[] {
  const { name, r_archivedir } = lane.standby;
  if (!hasHistory) {
    deps.log.warning(
      `standby ${name}: ${r_archivedir} has no sentinel .pitrtools, and this server was a standby once or was promoted: run cmd_standby -I there (if that host has no cmd_standby, run cmd_archiver -I --plant ${name} here); until then its WAL will be queued`,
    );
    return [];
  }
  return [
    {
      message: `${r_archivedir} on standby ${name} has no sentinel .pitrtools, although WAL may have been delivered there: is its file system mounted?`,
      hint: `Mount it on ${name}. Only if it is mounted and pitrtools 1.x used it, or if that directory is to become a new, empty archive, run cmd_standby -C FILE -I --force=new-archive there, or cmd_archiver -C FILE -I --plant ${name} here.`,
    },
  ];
}

/** Reports the result; returns the problem that must not be ignored. */
function judge(deps: ArchiverDeps, probed: Probed): Problem[] {
  const { result } = probed;
  const { name, r_archivedir } = probed.lane.standby;
  switch (result.kind) {
    case 'planted':
    case 'present':
      deps.log.debug(`standby ${name}: ${r_archivedir} belongs to this cluster`);
      return [];
    case 'no-directory':
      deps.log.notice(`standby ${name} has no directory ${r_archivedir} yet: its WAL will be queued here`);
      return [];
    case 'no-sentinel':
      return missingSentinel(deps, probed);
    case 'not-empty':
      deps.log.warning(
        `standby ${name}: ${r_archivedir} has no sentinel .pitrtools and is not empty (${result.example}): if it is the right directory, run cmd_standby -I there, or cmd_archiver -I --plant ${name} here; until then its WAL will be queued`,
      );
      return [];
    case 'unknown':
      deps.log.notice(`standby ${name} was not reached: its WAL will be queued here (${result.reason})`);
      return [];
    case 'promoted':
      deps.log.warning(
        `standby ${name} was promoted (timeline ${result.timeline}): it accepts no WAL before it has a new base backup`,
      );
      return [];
    case 'noisy':
      return [{ message: `standby ${name} cannot be used: ${result.reason}`, hint: noiseHint }];
    case 'unfit':
      return [{ message: `standby ${name}: ${result.reason}`, hint: result.hint }];
    case 'foreign': {
      const whose = quoted(result.systemIdentifier);
      const message = `${r_archivedir} on standby ${name} belongs to another cluster (${whose})`;
      return [{ message, hint: checkHint }];
    }
  }
}

function requireKnown(names: readonly string[], plant: string | undefined): void {
  if (plant === undefined || names.includes(plant)) return;
  throw usageError(`--plant: there is no standby "${plant}" in slaves:`, `It is one of: ${names.join(', ')}`);
}

async function probeAll(
  deps: ArchiverDeps,
  lanes: readonly Lane[],
  cluster: Cluster,
  plant: string | undefined,
): Promise<void> {
  const probes = await Promise.all(
    lanes.map(async (lane): Promise<Probed> => {
      const permission = await permissionFor(deps, lane, cluster, plant);
      const result = await probe(deps, lane, cluster, permission);
      return { lane, result, hasHistory: await hasHistory(lane) };
    }),
  );
  const problems = probes.flatMap((probed) => judge(deps, probed));
  const missed = probes.find(({ lane, result }) => lane.name === plant && !isMarked(result));
  if (problems.length === 0 && missed === undefined) return;
  const messages = problems.map(({ message }) => message);
  throw new PitrError(
    messages.length === 0 ? `no sentinel was written for ${missed?.lane.name ?? ''}` : messages.join('; '),
    {
      hint: [...new Set(problems.map(({ hint }) => hint))].join(' ') || checkHint,
    },
  );
}

function isMarked({ kind }: PlantResult): boolean {
  return kind === 'planted' || kind === 'present';
}

/** The names in the form that the how-to prints. */
function printList(names: readonly string[]): string {
  return `[${names.map((name) => `'${name}'`).join(', ')}]`;
}

/**
 * `-I`: makes l_archivedir and a queue per standby, and binds them to this cluster. It can be repeated at any time,
 * for instance after a standby was added; the contents of the queues are not touched.
 */
export async function initialize(deps: ArchiverDeps, plant?: string): Promise<void> {
  const { settings, layout, report } = deps;
  const lanes = lanesOf(deps);
  const names = lanes.map(({ name }) => name);
  requireKnown(names, plant);
  await refuseQueueProcess(layout);
  report('We are initializing queues, one moment.');
  report('');
  report('NOTICE: init_env_func()');
  const cluster = await readCluster(settings.pgdata);
  // A refusal comes before anything is changed.
  if (cluster.isInRecovery && plant !== undefined)
    throw refusal('--plant works only on the primary, but this server is in recovery');
  await ensureDirectory(layout.root);
  const isFirst = (await readPinnedIdentifier(layout)) === undefined;
  const left = isFirst ? [...(await takeQueues(deps, lanes, cluster))] : [];
  await ensureDirectory(layout.privateDirectory);
  await pinCluster(layout, cluster, settings.pgdata);
  await makeDirectories(deps, lanes);
  report('NOTICE: generate_slave_list_func()');
  report(`NOTICE: Your slaves are: ${printList(names)}`);
  await warnOfUntestedRelease(deps);
  await mentionLeftoverQueues(deps);
  if (!cluster.isInRecovery) append(left, await sortUnsorted(deps, lanes, cluster));
  for (const problem of left) deps.log.error(problem);
  if (cluster.isInRecovery) {
    deps.log.warning('this server is in recovery: it ships no WAL of its own before it is promoted');
  } else await probeAll(deps, lanes, cluster, plant);
  if (left.length > 0) throw notTakenOver(left);
}
