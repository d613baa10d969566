/** The words of this host's server about archiving, its WAL and its receivers. */
import type { ArchivingVerdict } from '../../config/archive-command.ts';
import { walPositionSql } from '../../postgres/backup-sql.ts';
import type { Capabilities } from '../../postgres/capabilities.ts';
import { parseLsn } from '../../postgres/lsn.ts';
import { statisticsHint } from '../../postgres/server-sql.ts';
import { type Fact, known, look, type LookDeps, NotKnown } from '../../status/fact.ts';
import { readPostmaster } from '../../system/postmaster.ts';
import type { ArchiverDeps } from '../deps.ts';
import { judgeOwnArchiving } from '../wal/own-archive-command.ts';
import { type ArchiverStatistics, type Ask, type ServerView, viewServer } from '../wal/server-view.ts';

/** One receiver of streamed WAL, of pg_stat_replication. */
export interface Receiver {
  readonly application: string;
  readonly address: string;
  readonly hostname: string;
  /** `streaming`, `catchup`, `backup`, … */
  readonly state: string;
  readonly sync: string;
  readonly sent: bigint | undefined;
  readonly replayed: bigint | undefined;
  /** The time that a commit takes to be replayed there, as far as the server knows it. */
  readonly replayLagS: number | undefined;
}

interface ArchivingFacts {
  readonly verdict: ArchivingVerdict;
  readonly command: string;
  readonly statistics: ArchiverStatistics | undefined;
}

export interface ServerFacts {
  readonly isRunning: Fact<boolean>;
  /** The end of the WAL that was written. */
  readonly written: Fact<bigint>;
  readonly archiving: Fact<ArchivingFacts>;
  readonly receivers: Fact<readonly Receiver[]>;
}

async function rowsOf(ask: Ask, sql: string) {
  const answer = await ask(sql);
  if (answer.kind === 'rows') return answer.rows;
  throw new NotKnown(answer.reason);
}

async function isServerRunning({ settings }: ArchiverDeps): Promise<boolean> {
  const postmaster = await readPostmaster(settings.pgdata);
  if (postmaster.kind === 'unclear') throw new NotKnown(postmaster.reason);
  return postmaster.kind === 'running';
}

function requireSeen(view: ServerView) {
  if (view.kind === 'seen') return view;
  throw new NotKnown(view.kind === 'unknown' ? view.reason : 'the server does not run');
}

function receiversSql({ replicationLsnSuffix: suffix, hasReplayLag }: Capabilities): string {
  const lag = hasReplayLag ? 'extract(epoch FROM replay_lag)' : 'NULL';
  return `SELECT application_name, host(client_addr), client_hostname, state, sync_state, sent_${suffix}, replay_${suffix}, ${lag} FROM pg_stat_replication`;
}

const lsnIn = (text: string): bigint | undefined => (text === '' ? undefined : parseLsn(text));

export async function receiversOf(ask: Ask, capabilities: Capabilities): Promise<readonly Receiver[]> {
  if (!capabilities.hasStatReplication) throw new NotKnown('servers before 9.1 do not say it');
  const rows = await rowsOf(ask, receiversSql(capabilities));
  const receivers = rows.map(
    ([
      application = '',
      address = '',
      hostname = '',
      state = '',
      sync = '',
      sent = '',
      replayed = '',
      lag = '',
    ]) => ({
      application,
      address,
      hostname,
      state,
      sync,
      sent: lsnIn(sent),
      replayed: lsnIn(replayed),
      replayLagS: lag === '' ? undefined : Number(lag),
    }),
  );
  // A user without the right to see them gets rows without a state.
  if (receivers.some(({ state }) => state === ''))
    throw new NotKnown(`the user who asks cannot see pg_stat_replication: ${statisticsHint(capabilities)}`);
  return receivers;
}

export async function observeServerSide(
  deps: ArchiverDeps & LookDeps,
  capabilities: Fact<Capabilities>,
  isInRecovery: Fact<boolean>,
  iniFile: string,
): Promise<ServerFacts> {
  const [isRunning, view] = await Promise.all([
    look(deps, () => isServerRunning(deps)),
    look(deps, () => viewServer(deps)),
  ]);
  const from = async <T>(ask: (seen: ReturnType<typeof requireSeen>) => Promise<T>): Promise<Fact<T>> =>
    view.kind === 'unknown' ? view : look(deps, () => ask(requireSeen(view.value)));
  const [written, archiving, receivers] = await Promise.all([
    from(async ({ ask }) => {
      if (known(isInRecovery)) throw new NotKnown('the server is in recovery');
      const [row] = await rowsOf(ask, walPositionSql(known(capabilities)));
      return parseLsn(row?.[0] ?? '');
    }),
    from(async ({ archiving: settings, statistics }) => ({
      verdict: await judgeOwnArchiving(settings, { pgdata: deps.settings.pgdata, iniFile }),
      command: settings.archiveCommand,
      statistics,
    })),
    from(({ ask }) => receiversOf(ask, known(capabilities))),
  ]);
  return { isRunning, written, archiving, receivers };
}
