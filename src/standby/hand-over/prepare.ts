import { formatLsn, parseLsn } from '../../postgres/lsn.ts';
import { ensureDirectory } from '../../system/durable.ts';
import type { AnswerOf, ArgumentsOf } from '../../verbs/verbs.ts';
import type { StandbyDeps } from '../deps.ts';
import { withActionLock } from '../host/action-lock.ts';
import { mustAnswer } from '../server/server-state.ts';
import { prepareArchive } from './archive-there.ts';
import { takeBackStop } from './half-stopped.ts';
import { findOwnServer, findPrimary } from './own-server.ts';

/** A checkpoint of a busy server takes long. The one at its stop is then short. */
const checkpointMs = 30 * 60_000;

/** `prepare-switchover`: see src/verbs/verbs.ts. */
export async function prepareSwitchover(
  deps: StandbyDeps,
  args: ArgumentsOf<'prepare-switchover'>,
): Promise<AnswerOf<'prepare-switchover'>> {
  const { server } = await findPrimary(deps, args);
  const { capabilities } = server;
  await ensureDirectory(deps.settings.archivedir);
  await withActionLock(deps, async (locked) => {
    await takeBackStop(server);
    await prepareArchive(locked, args.cluster);
  });
  return mustAnswer(
    server,
    'cannot make a checkpoint',
    async (sql) => {
      await sql('CHECKPOINT');
      const [row] = await sql(`SELECT ${capabilities.switchWalFunction}()::text AS lsn`);
      return { lsn: formatLsn(parseLsn(String(row?.['lsn']))) };
    },
    checkpointMs,
  );
}

/** `open-transactions`: see src/verbs/verbs.ts. */
export async function countOpenTransactions(
  deps: StandbyDeps,
  { cluster }: ArgumentsOf<'open-transactions'>,
): Promise<AnswerOf<'open-transactions'>> {
  const { server } = await findOwnServer(deps, cluster);
  return mustAnswer(server, 'cannot count the open transactions', async (sql) => {
    const [row] = await sql(
      "SELECT count(*)::int AS open FROM pg_stat_activity WHERE datid IS NOT NULL AND xact_start IS NOT NULL AND pid <> pg_backend_pid() AND query NOT LIKE 'autovacuum:%'",
    );
    return { count: Number(row?.['open']) };
  });
}
