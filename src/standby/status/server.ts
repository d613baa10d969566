/** The words of this host's server about its recovery. */
import { parseLsn } from '../../postgres/lsn.ts';
import { statisticsHint } from '../../postgres/server-sql.ts';
import type { LowLimit } from '../../postgres/standby-limits.ts';
import { type Fact, known, look, NotKnown } from '../../status/fact.ts';
import type { LocalSql } from '../../system/local-sql.ts';
import { observeReplayed } from '../recovery/replayed.ts';
import { delayParameter } from '../recovery/settings.ts';
import type { DataDirectory } from '../server/data-directory.ts';
import { observeLowLimits } from '../server/limits.ts';
import { delaySql, replayDelayOf } from '../server/replay-delay.ts';
import { type Server, serverOf } from '../server/server.ts';
import { readConfiguration } from '../server/server-configuration.ts';
import { type ServerState, withLocalServer } from '../server/server-state.ts';
import { receiverInTitles } from '../server/streaming.ts';
import type { StatusDeps } from './view.ts';

interface ReplayedFacts {
  readonly lsn: bigint;
  /** False for what pg_control proves: the server may be further. */
  readonly isExact: boolean;
  /** The commit time of the last replayed transaction, by the primary's clock. In ISO 8601; undefined if it is not known. */
  readonly committedAt: string | undefined;
  /** Seconds since then, by this host's clock. */
  readonly committedAgeS: number | undefined;
}

/** The status of a receiver of which only the process is seen: with update_process_title off, its title never says more. */
export const onlySeen = 'running';

/** The process that receives WAL from the primary. */
interface ReceiverFacts {
  /** The server's own word, such as `streaming`; `running` where only the process is seen, and not what it does. */
  readonly status: string;
  readonly sender: string | undefined;
  readonly slot: string | undefined;
  /** The end of the primary's WAL by its last message, and seconds since then. */
  readonly primaryEnd: bigint | undefined;
  readonly silentS: number | undefined;
}

export interface RecoveryFacts {
  readonly replayed: Fact<ReplayedFacts>;
  /** The end of the WAL that was streamed here; undefined if none was since the server was started. */
  readonly received: Fact<bigint | undefined>;
  /** Undefined if there is none. */
  readonly receiver: Fact<ReceiverFacts | undefined>;
  readonly isPaused: Fact<boolean>;
  /** recovery_min_apply_delay in seconds; 0 for none. */
  readonly delayS: Fact<number>;
  /** Settings that are lower here than they were on the primary when it wrote the last replayed WAL. */
  readonly lowSettings: Fact<readonly LowLimit[]>;
}

interface Said {
  readonly received: bigint | undefined;
  readonly receiver: ReceiverFacts | undefined | 'hidden';
  readonly isPaused: boolean | undefined;
  readonly delayS: number | undefined;
}

const lsnOf = (value: unknown): bigint | undefined =>
  typeof value === 'string' && value.includes('/') ? parseLsn(value) : undefined;
const numberOf = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined);
/** Negative after this host's clock was set back: then nothing shows how old the last message is. */
export function silenceOf(value: unknown): number | undefined {
  const seconds = numberOf(value);
  return seconds === undefined || seconds < 0 ? undefined : seconds;
}

const textOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

async function askReceiver({ capabilities }: Server, sql: LocalSql): Promise<Said['receiver']> {
  const sender = capabilities.tellsSenderHost ? 'sender_host' : 'NULL::text';
  const [row] = await sql(
    `SELECT status, latest_end_lsn::text AS primary_end, slot_name, ${sender} AS sender,
      extract(epoch FROM clock_timestamp() - last_msg_receipt_time)::float8 AS silent_s FROM pg_stat_wal_receiver`,
  );
  if (row === undefined) return undefined;
  const status = textOf(row['status']);
  if (status === undefined) return 'hidden';
  return {
    status,
    sender: textOf(row['sender']),
    slot: textOf(row['slot_name']),
    primaryEnd: lsnOf(row['primary_end']),
    silentS: silenceOf(row['silent_s']),
  };
}

/** In one session: a server that does not answer costs its limit only once. */
async function ask(server: Server, sql: LocalSql): Promise<Said> {
  const { capabilities } = server;
  const { lastReceiveLsnFunction: receive, isReplayPausedFunction: paused } = capabilities;
  const [row] = await sql(
    `SELECT ${receive === undefined ? 'NULL' : `${receive}()::text`} AS received,
      ${paused === undefined ? 'NULL::boolean' : `${paused}()`} AS paused, ${delaySql(capabilities)} AS delay`,
  );
  return {
    received: lsnOf(row?.['received']),
    receiver: capabilities.hasStatWalReceiver ? await askReceiver(server, sql) : undefined,
    isPaused: typeof row?.['paused'] === 'boolean' ? row['paused'] : undefined,
    delayS: numberOf(row?.['delay']),
  };
}

async function replayedOf(
  deps: StatusDeps,
  server: Server,
  directory: DataDirectory,
  state: ServerState,
): Promise<ReplayedFacts> {
  const { lsn, time } = await observeReplayed(server, directory, state);
  if (lsn === undefined) throw new NotKnown('nothing was replayed yet, as far as its files show');
  const isExact = state.kind === 'recovering' && state.answers;
  const committedMs = isExact && time !== undefined ? Number(time / 1000n) : undefined;
  return {
    lsn,
    isExact,
    committedAt: committedMs === undefined ? undefined : new Date(committedMs).toISOString(),
    committedAgeS: committedMs === undefined ? undefined : Math.max(0, (deps.now() - committedMs) / 1000),
  };
}

/** By the title of the process, for a server that does not say it. */
async function receiverSeen({ pgdata }: Server): Promise<ReceiverFacts | undefined> {
  const title = await receiverInTitles(pgdata);
  if (title === undefined) return undefined;
  const status = title.streams ? 'streaming' : onlySeen;
  return { status, sender: undefined, slot: undefined, primaryEnd: undefined, silentS: undefined };
}

async function lowSettings(server: Server, state: ServerState): Promise<readonly LowLimit[]> {
  const configuration = await readConfiguration(server, 'standby');
  return observeLowLimits({ server, configuration, state });
}

function requireStandby(state: ServerState): void {
  if (state.kind === 'production') throw new NotKnown('the server here is the primary');
}

function requireRecovery(state: ServerState): void {
  requireStandby(state);
  if (state.kind !== 'recovering') throw new NotKnown('the server here does not recover');
}

export async function observeRecovery(
  deps: StatusDeps,
  directory: Fact<DataDirectory>,
  state: Fact<ServerState>,
): Promise<RecoveryFacts> {
  const server = () => serverOf(deps, known(directory).capabilities);
  const said = look(deps, async () => {
    requireRecovery(known(state));
    const answer = await withLocalServer(server(), (sql) => ask(server(), sql));
    if (answer.kind === 'answered') return answer.value;
    throw new NotKnown(`the server here does not answer: ${answer.reason}`);
  });
  const [replayed, received, receiver, isPaused, delayS, low] = await Promise.all([
    look(deps, () => {
      requireStandby(known(state));
      return replayedOf(deps, server(), known(directory), known(state));
    }),
    look(deps, async () => known(await said).received),
    look(deps, async () => {
      requireRecovery(known(state));
      if (!server().capabilities.hasStatWalReceiver || (await said).kind === 'unknown')
        return receiverSeen(server());
      const { receiver: shown } = known(await said);
      if (shown !== 'hidden') return shown;
      throw new NotKnown(
        `the user who asks cannot see pg_stat_wal_receiver: ${statisticsHint(server().capabilities)}`,
      );
    }),
    look(deps, async () => {
      const { isPaused: shown } = known(await said);
      if (shown === undefined) throw new NotKnown('servers before 9.1 do not say it');
      return shown;
    }),
    look(deps, async () => {
      requireRecovery(known(state));
      const answer = await said;
      const shown = answer.kind === 'seen' ? answer.value.delayS : undefined;
      const delayS = await replayDelayOf(server(), shown);
      if (delayS !== undefined) return delayS;
      known(answer);
      throw new NotKnown(`neither the server nor its files show ${delayParameter}`);
    }),
    look(deps, () => {
      requireStandby(known(state));
      return lowSettings(server(), known(state));
    }),
  ]);
  return { replayed, received, receiver, isPaused, delayS, lowSettings: low };
}
