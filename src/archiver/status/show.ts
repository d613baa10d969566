/** The facts of cmd_archiver --status as tables for people and as numbers for machines. Pure. */
import { durationText, rateText, sizeText } from '../../amounts.ts';
import { formatLsn } from '../../postgres/lsn.ts';
import { derive, type Fact, valueOf } from '../../status/fact.ts';
import { percentUsed } from '../../status/limits.ts';
import type { Metric, Section } from '../../status/report.ts';
import type { ArchiverFacts, Backlog, DiskFacts, StandbyFacts } from './facts.ts';

function text<T>(fact: Fact<T>, show: (value: T) => string): string {
  return fact.kind === 'seen' ? show(fact.value) : 'unknown';
}

function backlogText({ files, bytes, oldest }: Backlog): string {
  if (oldest === undefined) return 'none';
  return `${files} files, ${sizeText(bytes)}, the oldest for ${durationText(oldest.ageS)}`;
}

function hostRows(facts: ArchiverFacts): string[][] {
  const { cluster, version, isRunning, written, archiving, isShipping, waiting, made } = facts;
  const statistics = valueOf(archiving)?.statistics;
  return [
    ['role', text(cluster, ({ isInRecovery }) => (isInRecovery ? 'standby' : 'primary'))],
    [
      'server',
      `${text(isRunning, (runs) => (runs ? 'running' : 'stopped'))}, PostgreSQL ${text(version, (it) => it)}`,
    ],
    ['cluster', text(cluster, ({ systemIdentifier }) => systemIdentifier)],
    [
      'timeline (last checkpoint)',
      text(cluster, ({ timeline }) => (timeline === undefined ? 'unknown' : String(timeline))),
    ],
    ['WAL written to', text(written, formatLsn)],
    ['WAL written per second', text(made, rateText)],
    ['state', facts.state],
    ['archive_command', text(archiving, ({ command }) => (command === '' ? 'none' : command))],
    ...(statistics === undefined
      ? []
      : [
          [
            'archived last',
            statistics.lastArchived === ''
              ? 'none'
              : `${statistics.lastArchived} at ${statistics.archivedAt}`,
          ],
          [
            'failed last',
            statistics.lastFailed === '' ? 'none' : `${statistics.lastFailed} at ${statistics.failedAt}`,
          ],
        ]),
    ['waits to be archived', text(waiting, backlogText)],
    ['shipper', text(isShipping, (runs) => (runs ? 'running' : 'not running'))],
  ];
}

function lagText({ stream }: StandbyFacts, end: bigint | undefined): string {
  return text(stream, (receiver) => {
    if (receiver === undefined) return 'no';
    const { state, replayed, replayLagS } = receiver;
    if (replayed === undefined || end === undefined) return state;
    const bytes = Number(end > replayed ? end - replayed : 0n);
    const time = replayLagS === undefined ? '' : `, ${durationText(replayLagS)}`;
    return `${state}, ${sizeText(bytes)} behind${time}`;
  });
}

function standbyRow(standby: StandbyFacts, end: bigint | undefined): string[] {
  const { name, state, queue } = standby;
  return [
    name,
    text(state, ({ health }) => health),
    text(queue, backlogText),
    lagText(standby, end),
    text(state, ({ isCaughtUp, gap, abandoned }) => {
      if (abandoned !== undefined) return `abandoned at ${abandoned.since}`;
      if (gap !== undefined) return 'has a gap';
      return isCaughtUp ? 'no gap' : 'not asked yet';
    }),
  ];
}

function diskRow({ name, path, use, fullInS }: DiskFacts): string[] {
  return [
    name,
    path,
    text(use, (seen) => `${percentUsed(seen)} % of ${sizeText(seen.bytes)}`),
    text(use, ({ freeBytes }) => sizeText(freeBytes)),
    text(fullInS, (seconds) =>
      seconds === Infinity ? 'does not get fuller' : `in ${durationText(seconds)}`,
    ),
  ];
}

export function sectionsOf(facts: ArchiverFacts): readonly Section[] {
  const end = valueOf(facts.written);
  return [
    { title: 'This host', rows: hostRows(facts) },
    {
      title: 'Standbys',
      head: ['standby', 'state', 'queue', 'streams', 'WAL from its base backup on'],
      rows: facts.standbys.map((standby) => standbyRow(standby, end)),
    },
    {
      title: 'File systems',
      head: ['of', 'path', 'used', 'free', 'full'],
      rows: facts.disks.map(diskRow),
    },
  ];
}

type Samples = Metric['samples'];

const gauge = (name: string, help: string, samples: Samples): Metric => ({
  name,
  help,
  type: 'gauge',
  samples,
});
const asNumber = (fact: Fact<boolean>): number | undefined => valueOf(derive(fact, Number));

export function metricsOf(facts: ArchiverFacts): readonly Metric[] {
  const { standbys, disks, written, archiving, waiting, made, isRunning, isShipping, cluster } = facts;
  const statistics = valueOf(archiving)?.statistics;
  const end = valueOf(written);
  const one = (value: number | undefined): Samples => [{ labels: {}, value }];
  const each = (value: (standby: StandbyFacts) => number | undefined): Samples =>
    standbys.map((standby) => ({ labels: { standby: standby.name }, value: value(standby) }));
  const eachDisk = (value: (disk: DiskFacts) => number | undefined): Samples =>
    disks.map((disk) => ({ labels: { of: disk.name }, value: value(disk) }));
  const queue = ({ queue: fact }: StandbyFacts): Backlog | undefined => valueOf(fact);
  return [
    gauge('server_up', 'Whether PostgreSQL runs on this host.', one(asNumber(isRunning))),
    gauge('timeline', 'The timeline of the last checkpoint.', one(valueOf(cluster)?.timeline)),
    gauge('shipper_up', 'Whether the shipper runs.', one(asNumber(isShipping))),
    gauge(
      'wal_written_bytes',
      'The end of the WAL that was written, as bytes since 0/0.',
      one(end === undefined ? undefined : Number(end)),
    ),
    gauge('wal_written_bytes_per_second', 'WAL written per second in the last minutes.', one(valueOf(made))),
    {
      name: 'archived_total',
      help: 'WAL files that PostgreSQL has archived, by pg_stat_archiver.',
      type: 'counter',
      samples: one(statistics?.archived),
    },
    {
      name: 'archive_failures_total',
      help: 'Failed calls of archive_command, by pg_stat_archiver.',
      type: 'counter',
      samples: one(statistics?.failed),
    },
    gauge('waiting_files', 'WAL files that PostgreSQL has still to archive.', one(valueOf(waiting)?.files)),
    gauge('waiting_bytes', 'Their size.', one(valueOf(waiting)?.bytes)),
    gauge(
      'waiting_oldest_seconds',
      'How long the oldest of them has waited.',
      one(valueOf(derive(waiting, ({ oldest }) => oldest?.ageS ?? 0))),
    ),
    gauge(
      'standby_healthy',
      'Whether the standby has all WAL.',
      each(({ state }) => valueOf(derive(state, ({ health }) => Number(health === 'ok')))),
    ),
    gauge(
      'queue_files',
      'WAL files that are queued for the standby.',
      each((standby) => queue(standby)?.files),
    ),
    gauge(
      'queue_bytes',
      'Their size.',
      each((standby) => queue(standby)?.bytes),
    ),
    gauge(
      'queue_oldest_seconds',
      'How long the oldest of them has waited.',
      each(({ queue: fact }) => valueOf(derive(fact, ({ oldest }) => oldest?.ageS ?? 0))),
    ),
    gauge(
      'replay_behind_bytes',
      'WAL that a streaming standby has not replayed yet.',
      each(({ stream }) => {
        const replayed = valueOf(stream)?.replayed;
        return replayed === undefined || end === undefined ? undefined : Math.max(0, Number(end - replayed));
      }),
    ),
    gauge(
      'disk_bytes',
      'The size of the file system.',
      eachDisk(({ use }) => valueOf(use)?.bytes),
    ),
    gauge(
      'disk_free_bytes',
      'The space that is free there.',
      eachDisk(({ use }) => valueOf(use)?.freeBytes),
    ),
    gauge(
      'disk_full_in_seconds',
      'The time until it is full, at the rate of the last half hour.',
      eachDisk(({ fullInS }) => valueOf(fullInS)),
    ),
  ];
}
