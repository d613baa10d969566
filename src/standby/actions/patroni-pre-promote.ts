import { messageOf, refusal } from '../../errors.ts';
import { formatLsn, parseLsn } from '../../postgres/lsn.ts';
import { withTimeLimit } from '../../system/leash.ts';
import { archiveStreamed } from '../archive/keep/fill-archive.ts';
import { type Archive, observeArchive } from '../archive/own-archive.ts';
import type { StandbyDeps } from '../deps.ts';
import { type DataDirectory, readDataDirectory } from '../server/data-directory.ts';
import { progressOf } from '../server/progress.ts';
import { serverOf } from '../server/server.ts';
import { observeServer } from '../server/server-state.ts';
import { compareSiblings, type Comparison } from '../siblings/compare.ts';
import { fetchSegments } from '../siblings/fetch.ts';
import { askOthers } from '../siblings/observe.ts';
import { ownReach } from '../siblings/own-reach.ts';

/** All together. Patroni keeps the lock meanwhile, but nobody takes writes. */
const limitMs = 60_000;
const keepMs = 20_000;

/** Promotes nobody whose data are not those of a standby of this cluster. */
async function requireStandby(deps: StandbyDeps): Promise<DataDirectory> {
  const directory = await readDataDirectory(deps.settings.pgdata);
  if (directory.isIncomplete)
    throw refusal(`the base backup in "${directory.pgdata}" is incomplete`, {
      hint: 'This member must not be promoted: patronictl reinit makes it anew.',
    });
  const state = await observeServer(serverOf(deps, directory.capabilities));
  if (state.kind === 'recovering' || state.kind === 'starting') return directory;
  throw refusal(
    state.kind === 'stopped'
      ? `no server runs on "${directory.pgdata}"`
      : `the server on "${directory.pgdata}" is no standby`,
    {
      hint: 'Patroni calls this before it promotes a standby. Check pgdata: in the INI file of cmd_standby.',
    },
  );
}

function sayAhead({ log }: StandbyDeps, { compared }: Comparison): void {
  for (const { target, standing } of compared)
    if (standing.kind === 'ahead')
      log.warning(
        `standby ${target.name} has come to ${formatLsn(standing.lsn)}, ${standing.bytes} bytes further than this server can replay: it cannot follow, and needs a new base backup`,
      );
    else if (standing.kind === 'other-timeline' || standing.kind === 'rival')
      log.warning(`standby ${target.name} is on another timeline than this server will continue`);
}

/** The others may lack what this server has only streamed. */
async function keepStreamed(deps: StandbyDeps, directory: DataDirectory): Promise<void> {
  const { replayed, received } = await progressOf(deps, directory);
  const ends = [replayed, received].filter((lsn) => lsn !== undefined).map(parseLsn);
  if (ends.length === 0) return;
  const end = ends.reduce((most, lsn) => (lsn > most ? lsn : most));
  const { copied, left } = await archiveStreamed(deps, directory, end, keepMs);
  if (copied.length > 0)
    deps.log.notice(`copied ${copied.length} segments that were only streamed into the archive of this host`);
  if (left.length > 0)
    deps.log.warning(
      `${left.length} segments that were only streamed are not in the archive of this host: the checkpoint after the promotion may remove them`,
    );
}

async function fetchMissing(deps: StandbyDeps, directory: DataDirectory, archive: Archive): Promise<void> {
  const { list, siblings } = await askOthers(deps);
  if (list?.kind === 'unknown')
    deps.log.error(`no other standby was asked: ${list.reason}`, { hint: list.hint });
  for (const { target, answer } of siblings)
    if (answer.kind === 'silent' || answer.kind === 'mute' || answer.kind === 'no-archive')
      deps.log.notice(`standby ${target.name}: how far it has come is unknown: ${answer.reason}`);
  const comparison = compareSiblings(siblings, await ownReach(deps, directory, archive));
  sayAhead(deps, comparison);
  const { fetches } = comparison;
  const { control } = directory;
  if (list?.kind !== 'known' || fetches.length === 0 || control?.walSegmentSize === undefined) return;
  const { systemIdentifier, walSegmentSize: segmentSize } = control;
  await fetchSegments(deps, list.archiver, fetches, { systemIdentifier, segmentSize, histories: new Map() });
  deps.log.notice(
    `fetched ${fetches.length} segments that only other standbys had: the server replays them before it opens`,
  );
}

/** The promotion does not depend on it. */
async function attempt(
  { signal, log }: StandbyDeps,
  failed: string,
  use: () => Promise<void>,
): Promise<void> {
  try {
    await use();
  } catch (error) {
    signal.throwIfAborted();
    log.error(`${failed}: ${messageOf(error)}`, { detail: 'This server is promoted all the same.' });
  }
}

/**
 * `--patroni-pre-promote`: Patroni has the leader's lock here and is about to promote. Brings WAL that only other standbys
 * have, so that a standby outside Patroni is not left on a branch of its own. What cannot be asked or brought is said, and
 * does not keep the cluster without a leader: how much may be lost is Patroni's decision, and was made.
 */
export async function prePromote(given: StandbyDeps): Promise<number> {
  const signal = withTimeLimit(given.signal, limitMs);
  const deps = { ...given, signal };
  const directory = await requireStandby(deps);
  const archive = await observeArchive(deps.settings.archivedir, directory);
  if (archive.kind === 'unusable') {
    deps.log.error(`the archive of this host cannot be used: ${archive.reason}`, {
      detail:
        'What other standbys have and this server lacks is unknown, and what it has only streamed may be lost to them.',
    });
    return 0;
  }
  await attempt(given, 'WAL that this server has only streamed was not copied into its archive', () =>
    keepStreamed(deps, directory),
  );
  await attempt(given, 'WAL that only other standbys have was not brought here', () =>
    fetchMissing(deps, directory, archive.archive),
  );
  return 0;
}
