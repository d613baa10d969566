import type { StandbyTarget } from '../config/options-archiver.ts';
import { messageOf, refusal } from '../errors.ts';
import { ensureDirectory } from '../system/durable.ts';
import { pinCluster, readCluster, type Cluster } from './cluster.ts';
import type { ArchiverDeps } from './deps.ts';
import { sshTargetOf } from './lane.ts';
import { layoutOf, queueOf, type Layout } from './layout.ts';
import { mentionLeftoverQueues } from './leftover-queues.ts';
import { plantSentinel, type PlantResult } from './plant-sentinel.ts';

async function makeDirectories(layout: Layout, standbys: readonly string[]): Promise<void> {
  for (const directory of [layout.root, layout.privateDirectory, layout.temporary]) {
    await ensureDirectory(directory);
  }
  for (const standby of standbys) await ensureDirectory(queueOf(layout, standby));
}

async function probe(deps: ArchiverDeps, standby: StandbyTarget, cluster: Cluster): Promise<PlantResult> {
  try {
    const target = await sshTargetOf(deps, standby);
    const connected = await deps.withRemoteShell(deps, target, (shell) =>
      plantSentinel(shell, standby, { cluster, pgdata: deps.settings.pgdata, nonce: deps.nonce() }),
    );
    return connected.kind === 'used' ? connected.value : { kind: 'unknown', reason: connected.reason };
  } catch (error) {
    return { kind: 'unknown', reason: messageOf(error) };
  }
}

/** Says what was found; returns what must not be passed over. */
function judge(deps: ArchiverDeps, { name, r_archivedir }: StandbyTarget, result: PlantResult): string[] {
  switch (result.kind) {
    case 'planted':
    case 'present':
      deps.log.debug(`standby ${name}: ${r_archivedir} belongs to this cluster`);
      return [];
    case 'no-directory':
      deps.log.notice(`standby ${name} has no directory ${r_archivedir} yet: its WAL will be queued here`);
      return [];
    case 'unknown':
      deps.log.notice(`standby ${name} was not reached: its WAL will be queued here (${result.reason})`);
      return [];
    case 'promoted':
      deps.log.warning(
        `standby ${name} was promoted (timeline ${result.timeline}): it takes no WAL before a new base backup of it`,
      );
      return [];
    case 'foreign':
      return [`${r_archivedir} on standby ${name} belongs to another cluster (${result.systemIdentifier})`];
  }
}

/** Names as the how-to prints them. */
function printList(names: readonly string[]): string {
  return `[${names.map((name) => `'${name}'`).join(', ')}]`;
}

/**
 * `-I`: makes l_archivedir and a queue per standby, and binds them to this cluster. May be run again at any time, for
 * instance when a standby was added; what a queue holds is not touched.
 */
export async function initialize(deps: ArchiverDeps): Promise<void> {
  const { settings, report } = deps;
  const names = settings.standbys.map(({ name }) => name);
  report('We are initializing queues, one moment.');
  report('');
  report('NOTICE: init_env_func()');
  const layout = layoutOf(settings.l_archivedir);
  const cluster = await readCluster(settings.pgdata);
  await ensureDirectory(layout.root);
  await ensureDirectory(layout.privateDirectory);
  await pinCluster(layout, cluster, settings.pgdata);
  await makeDirectories(layout, names);
  report('NOTICE: generate_slave_list_func()');
  report(`NOTICE: Your slaves are: ${printList(names)}`);
  await mentionLeftoverQueues(deps);
  if (cluster.isInRecovery) {
    deps.log.warning('this server is in recovery: it delivers nothing of its own before it is promoted');
    return;
  }
  const probes = await Promise.all(settings.standbys.map((standby) => probe(deps, standby, cluster)));
  const problems = settings.standbys.flatMap((standby, index) => {
    const result = probes[index];
    return result === undefined ? [] : judge(deps, standby, result);
  });
  if (problems.length === 0) return;
  throw refusal(problems.join('; '), {
    hint: 'Check host and r_archivedir of that standby in the INI file.',
  });
}
