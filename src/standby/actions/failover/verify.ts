import { PitrError } from '../../../errors.ts';
import type { Capabilities } from '../../../postgres/capabilities.ts';
import { sqlIdentifier } from '../../../postgres/quoting.ts';
import type { LocalSql } from '../../../system/local-sql.ts';
import type { Server } from '../../server/server.ts';
import { mustAnswer } from '../../server/server-state.ts';
import { writtenTimeline } from '../../server/written-timeline.ts';
import type { FailoverRun } from './run.ts';

const limitMs = 30_000;

/** The commit is flushed here and waits for no other standby, because `synchronous_standby_names` may name only dead ones. */
async function writeAndLeaveNothing(sql: LocalSql, capabilities: Capabilities, nonce: string): Promise<void> {
  const schema = sqlIdentifier(`pitrtools_${nonce}`);
  await sql('BEGIN READ WRITE');
  if (capabilities.hasSynchronousCommitLocal) await sql('SET LOCAL synchronous_commit TO local');
  await sql(`CREATE SCHEMA ${schema}`);
  await sql(`CREATE TABLE ${schema}.written (at timestamptz)`);
  await sql(`INSERT INTO ${schema}.written VALUES (now())`);
  await sql(`DROP SCHEMA ${schema} CASCADE`);
  await sql('COMMIT');
}

async function isInRecovery(sql: LocalSql, capabilities: Capabilities): Promise<boolean> {
  const { isInRecoveryFunction: asks } = capabilities;
  if (asks === undefined) return false;
  const [row] = await sql(`SELECT ${asks}() AS recovering`);
  return row?.['recovering'] === true;
}

/** Proves that the server is out of recovery and takes a write; returns its timeline. */
export async function verifyWrite(server: Server): Promise<number> {
  const { deps, capabilities } = server;
  return mustAnswer(
    server,
    'cannot verify that the server takes writes',
    async (sql) => {
      if (await isInRecovery(sql, capabilities)) throw new PitrError('the server is still in recovery');
      await writeAndLeaveNothing(sql, capabilities, deps.nonce());
      return writtenTimeline(sql, capabilities);
    },
    limitMs,
  );
}

/** The timeline of the open server, for steps that need only its number. The first of these steps proves it by a test write. */
export async function provenTimeline(run: FailoverRun): Promise<number> {
  run.timeline ??= await verifyWrite(run.server);
  return run.timeline;
}
