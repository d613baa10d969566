import { opendir } from 'node:fs/promises';
import { join } from 'node:path';
import { PitrError, refusal } from '../../errors.ts';
import type { ArchiverDeps } from '../deps.ts';
import { type Lane, lanesOf, withdrawEndedProofs } from '../lane/lane.ts';
import type { Pace } from '../lane/send.ts';
import { type LaneOutcome, shipToStandby } from '../lane/ship-to-all.ts';
import { readLaneState } from '../lane/state.ts';
import { askShipper, type ShipperAccess } from '../markers/ask.ts';
import { sayNews } from '../markers/news.ts';
import { createCopier, withLocalCopy } from '../queue/local-copy.ts';
import { removeDeadTemporaries } from '../queue/temporaries.ts';
import { readPinnedCluster } from '../wal/cluster.ts';
import { checkWalFile, locateWalFile, type WalFile } from '../wal/wal-file.ts';

/** While PostgreSQL has more to archive, a queue is sent for no longer than this, because the other standbys have to wait. */
const hurryMs = 1_000;

/** Whether PostgreSQL has another file to archive. Stops at the first one. */
async function isMoreReady(pgdata: string, file: WalFile): Promise<boolean> {
  for (const wal of ['pg_wal', 'pg_xlog']) {
    const directory = await opendir(join(pgdata, wal, 'archive_status')).catch(() => undefined);
    if (directory === undefined) continue;
    for await (const { name } of directory) {
      if (name.endsWith('.ready') && name !== `${file.name.text}.ready`) return true;
    }
  }
  return false;
}

/** A call sends for `ssh_timeout` at most, however long the queue is. */
function paceOf(deps: ArchiverDeps, file: WalFile, { standby }: Lane): Pace {
  const began = deps.monotonicMs();
  const budgetMs = standby.ssh_timeout * 1000;
  return {
    mayContinue: async () => {
      const elapsed = deps.monotonicMs() - began;
      if (deps.signal.aborted || elapsed >= budgetMs) return false;
      return elapsed < hurryMs || !(await isMoreReady(deps.settings.pgdata, file));
    },
    limitMs: () => budgetMs,
  };
}

function logOutcome(deps: ArchiverDeps, { name }: Lane, file: WalFile, outcome: LaneOutcome): void {
  const segment = file.name.text;
  switch (outcome.kind) {
    case 'delivered':
      deps.log.debug(`${segment} is safe at standby ${name}`);
      return;
    case 'abandoned':
      deps.log.warning(`standby ${name} is abandoned and does not get ${segment}`);
      return;
    case 'failed':
      deps.log.error(`standby ${name}: ${segment} is not safe: ${outcome.reason}`);
      return;
    case 'queued':
      if (outcome.trouble === undefined) deps.log.debug(`${segment} is queued for standby ${name}`);
      else {
        const { reason, hint } = outcome.trouble;
        deps.log.warning(`${segment} is queued for standby ${name}: ${reason}`, { hint });
      }
  }
}

/** One lane, and the outcome of the file there. */
interface Shipped {
  readonly lane: Lane;
  readonly outcome: LaneOutcome;
}

/** Another process may have abandoned a standby, and freed its queue, while we were busy with the others. */
async function lookAgain(shipped: readonly Shipped[]): Promise<readonly Shipped[]> {
  return Promise.all(
    shipped.map(async ({ lane, outcome }): Promise<Shipped> => {
      if (outcome.kind !== 'queued') return { lane, outcome };
      const { abandoned } = await readLaneState(lane);
      return { lane, outcome: abandoned === undefined ? outcome : { kind: 'abandoned' } };
    }),
  );
}

/** Every standby that is not abandoned must have a safe copy, and one at least must not be abandoned. */
function requireSafe(file: WalFile, outcomes: readonly LaneOutcome[]): void {
  const failed = outcomes.filter((outcome) => outcome.kind === 'failed');
  const segment = file.name.text;
  if (failed.length > 0) {
    throw new PitrError(
      `${segment} is not archived: ${failed.length} of ${outcomes.length} standbys have no safe copy`,
      {
        detail: failed.map(({ reason }) => reason).join('; '),
        hint: failed.map(({ error }) => error.hint).find((hint) => hint !== undefined),
      },
    );
  }
  if (outcomes.every(({ kind }) => kind === 'abandoned')) {
    throw refusal(`${segment} is not archived: every standby is abandoned`, {
      hint: 'Make a new base backup on a standby (cmd_standby -B), or run cmd_archiver --resume STANDBY before you make one.',
    });
  }
}

function refuseOffline(deps: ArchiverDeps): void {
  if (deps.settings.state !== 'offline') return;
  throw refusal('state is offline: nothing is archived', {
    hint: 'PostgreSQL keeps its WAL until the INI file says "state: online".',
  });
}

/**
 * `-F %p`: PostgreSQL's archive_command. Resolves only when every standby that is not abandoned has a safe copy of
 * the file, delivered or in its queue. Otherwise it throws, and PostgreSQL keeps the file.
 */
export async function archiveFile(deps: ArchiverDeps, path: string, shipper?: ShipperAccess): Promise<void> {
  refuseOffline(deps);
  const { layout } = deps;
  const file = await locateWalFile(deps, path);
  const cluster = await readPinnedCluster(deps);
  await sayNews(deps);
  await checkWalFile(file, cluster, deps.settings.pgdata);
  await withdrawEndedProofs(deps, cluster);
  if (shipper !== undefined && (await askShipper(deps, shipper, cluster, file)) === 'safe') return;
  await removeDeadTemporaries(layout);
  const shipped = await withLocalCopy(createCopier(deps), file, (copy) => {
    const ship = async (lane: Lane): Promise<Shipped> => {
      const beginPace = () => paceOf(deps, file, lane);
      return { lane, outcome: await shipToStandby({ deps, lane, file, cluster, copy, beginPace }) };
    };
    return Promise.all(lanesOf(deps).map(ship));
  }).then(lookAgain);
  deps.signal.throwIfAborted();
  for (const { lane, outcome } of shipped) logOutcome(deps, lane, file, outcome);
  requireSafe(
    file,
    shipped.map(({ outcome }) => outcome),
  );
}
