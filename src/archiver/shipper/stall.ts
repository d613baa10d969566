import { join } from 'node:path';
import { messageOf } from '../../errors.ts';
import { readIfExists } from '../../system/durable.ts';
import { parseJson } from '../../system/json.ts';
import {
  isNotificationDue,
  latestSaid,
  notify,
  saidFields,
  type SaidState,
  type Severity,
} from '../../system/notify.ts';
import { readPostmaster } from '../../system/postmaster.ts';
import { replaceDurably } from '../../system/replaceable.ts';
import { judgeOwnArchiving } from '../wal/own-archive-command.ts';
import { describeStatistics, viewServer } from '../wal/server-view.ts';
import type { Board } from './board.ts';
import { createWakeUp } from './signal.ts';
import { isStopped, type Work } from './work.ts';

/** The facts that are watched: which segments have markers, and since when PostgreSQL has archived none of them. */
export interface Watch {
  marked: readonly string[];
  sinceMs: number | undefined;
}

/**
 * Since when PostgreSQL has archived no segment with a marker although the oldest one that it has to archive has a
 * marker; undefined while all is well.
 */
export function stalledSince(watch: Watch, board: Board, nowMs: number): number | undefined {
  const wanted = new Set(board.order);
  const isAnyTaken = watch.marked.some((name) => !wanted.has(name));
  const oldest = board.order[0];
  const isOldestMarked = oldest !== undefined && board.shipments.get(oldest)?.isMarked === true;
  watch.marked = [...board.shipments.values()]
    .filter(({ isMarked }) => isMarked)
    .map(({ file }) => file.name.text);
  if (!isOldestMarked) watch.sinceMs = undefined;
  else if (isAnyTaken || watch.sinceMs === undefined) watch.sinceMs = nowMs;
  return watch.sinceMs;
}

const longestTickMs = 5_000;

function stateFile({ deps }: Work): string {
  return join(deps.layout.privateDirectory, 'archive_stall.state');
}

interface Memory {
  said: SaidState | undefined;
  isUnreadableSaid: boolean;
}

async function readSaid(work: Work, memory: Memory): Promise<SaidState | undefined> {
  try {
    const text = await readIfExists(stateFile(work));
    return text === undefined ? undefined : parseJson(text.toString('utf8'), saidFields);
  } catch (error) {
    if (!memory.isUnreadableSaid)
      work.deps.log.warning(`cannot understand "${stateFile(work)}": ${messageOf(error)}`);
    memory.isUnreadableSaid = true;
    return undefined;
  }
}

/** The server's own settings, and what is wrong with them, as far as it lets us log in. */
async function explain(work: Work, iniFile: string): Promise<string> {
  const view = await viewServer(work.deps);
  if (view.kind === 'not-running') return 'the server has just stopped';
  if (view.kind === 'unknown') return `its archiving settings are not known (${view.reason})`;
  const verdict = await judgeOwnArchiving(view.archiving, {
    pgdata: work.deps.settings.pgdata,
    iniFile,
  });
  const command =
    verdict.kind === 'call'
      ? `archive_command is "${view.archiving.archiveCommand}": PostgreSQL's log shows how it fails`
      : verdict.reason;
  return view.statistics === undefined ? command : `${command}; ${describeStatistics(view.statistics)}`;
}

async function describe(work: Work, iniFile: string, stalledMs: number): Promise<string> {
  const { order } = work.board;
  const many = order.length === 1 ? 'a segment is' : `${order.length} segments are`;
  const seconds = Math.round(stalledMs / 1000);
  return `PostgreSQL has taken no shipped segment for ${seconds} s: ${many} ready, from ${order[0] ?? ''}, and archive_command does not ask for it; pg_wal grows; ${await explain(work, iniFile)}`;
}

async function say(work: Work, memory: Memory, severity: Severity, message: () => Promise<string>) {
  const { deps } = work;
  const nowS = Math.floor(deps.now() / 1000);
  const before = latestSaid(memory.said, await readSaid(work, memory));
  if (!isNotificationDue(before, severity, nowS, deps.settings.notify_reminder)) return;
  const text = await message();
  if (severity === 'ok') deps.log.notice(text);
  else deps.log.error(text);
  const facts = {
    program: 'cmd_archiver' as const,
    segment: work.board.order[0] ?? '',
    ready: work.board.order.length,
  };
  notify(deps, deps.settings, { severity, name: 'waiting', message: text, facts });
  memory.said = { severity, lastNotified: nowS };
  await replaceDurably(stateFile(work), JSON.stringify(memory.said)).catch((error: unknown) => {
    deps.log.warning(`cannot store the last report about archive_command: ${messageOf(error)}`);
  });
}

async function look(work: Work, watch: Watch, memory: Memory, iniFile: string): Promise<void> {
  const { deps, board } = work;
  const nowMs = deps.monotonicMs();
  const before = watch.marked;
  const sinceMs = stalledSince(watch, board, nowMs);
  const wasTaken = before.some((name) => !board.order.includes(name));
  if (wasTaken) {
    await say(work, memory, 'ok', () => Promise.resolve('PostgreSQL takes shipped segments again'));
    return;
  }
  const stalledMs = sinceMs === undefined ? 0 : nowMs - sinceMs;
  if (sinceMs === undefined || stalledMs < deps.settings.archive_stall * 1000) return;
  const { kind } = await readPostmaster(deps.settings.pgdata);
  if (kind !== 'running') {
    watch.sinceMs = undefined;
    return;
  }
  await say(work, memory, 'critical', () => describe(work, iniFile, stalledMs));
}

/**
 * The shipper delivers before archive_command is called, and so hides that archive_command fails. The sign is that
 * PostgreSQL archives none of the segments with markers.
 */
export async function watchForStall(work: Work, iniFile: string): Promise<void> {
  const { archive_stall: limitS } = work.deps.settings;
  if (limitS === 0) return;
  const watch: Watch = { marked: [], sinceMs: undefined };
  const memory: Memory = { said: undefined, isUnreadableSaid: false };
  const wakeUp = createWakeUp();
  work.stop.addEventListener('abort', wakeUp.wake, { once: true });
  while (!isStopped(work)) {
    await look(work, watch, memory, iniFile).catch((error: unknown) => {
      if (!isStopped(work)) work.deps.log.warning(`cannot check archive_command: ${messageOf(error)}`);
    });
    // A segment that comes meanwhile is seen at the next look, which is soon enough.
    const isQuiet = work.board.order.length === 0;
    await wakeUp.wait(isQuiet ? longestTickMs : Math.min(longestTickMs, limitS * 250));
  }
}
