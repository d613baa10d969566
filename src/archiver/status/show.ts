/** The facts of cmd_archiver --status as tables for people and as numbers for machines. Pure. */
import { durationText, rateText, sizeText } from '../../amounts.ts';
import { formatLsn } from '../../postgres/lsn.ts';
import { clockText } from '../../status/clocks.ts';
import { diskMetrics, diskSection } from '../../status/disks.ts';
import { derive, type Fact, factText, valueOf } from '../../status/fact.ts';
import { gauge, type Metric, one, type Section } from '../../status/report.ts';
import { clockSkewMetric, primaryMetric, timelineMetric } from '../../status/shared-metrics.ts';
import type { ShownCluster } from './cluster.ts';
import type { ArchiverFacts, Backlog, StandbyFacts } from './facts.ts';

function backlogText({ files, bytes, oldest }: Backlog): string {
  if (oldest === undefined) return 'none';
  return `${files} files, ${sizeText(bytes)}, the oldest for ${durationText(oldest.ageS)}`;
}

function roleText({ isInRecovery, isCold = false }: ShownCluster): string {
  if (isCold) return 'cold standby';
  return isInRecovery ? 'standby' : 'primary';
}

function hostRows(facts: ArchiverFacts): string[][] {
  const { cluster, version, isRunning, written, archiving, isShipping, waiting, made } = facts;
  const statistics = valueOf(archiving)?.statistics;
  return [
    ['role', factText(cluster, roleText)],
    [
      'server',
      `${factText(isRunning, (runs) => (runs ? 'running' : 'stopped'))}, PostgreSQL ${factText(version, (it) => it)}`,
    ],
    ['cluster', factText(cluster, ({ systemIdentifier }) => systemIdentifier)],
    [
      'timeline (last checkpoint)',
      factText(cluster, ({ timeline }) => (timeline === undefined ? 'unknown' : String(timeline))),
    ],
    ['WAL written to', factText(written, formatLsn)],
    ['WAL written per second', factText(made, rateText)],
    ['state', facts.state],
    ['archive_command', factText(archiving, ({ command }) => (command === '' ? 'none' : command))],
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
    ['waits to be archived', factText(waiting, backlogText)],
    ['shipper', factText(isShipping, (runs) => (runs ? 'running' : 'not running'))],
  ];
}

function lagText({ stream }: StandbyFacts, end: bigint | undefined): string {
  return factText(stream, (receiver) => {
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
    factText(state, ({ health }) => health),
    factText(queue, backlogText),
    lagText(standby, end),
    factText(state, ({ isCaughtUp, gap, abandoned }) => {
      if (abandoned !== undefined) return `abandoned at ${abandoned.since}`;
      if (gap !== undefined) return 'has a gap';
      return isCaughtUp ? 'no gap' : 'not asked yet';
    }),
  ];
}

/** Only of those that were asked. */
function liveRows({ name, live, clock }: StandbyFacts, end: bigint | undefined): string[][] {
  const time = factText(clock, (seen) => (seen === undefined ? 'unknown' : clockText(seen)));
  if (live.kind === 'unknown') return [[name, 'unknown', 'unknown', 'unknown', 'unknown', 'unknown', time]];
  const said = live.value;
  if (said === undefined) return [];
  const { server, timeline, replayed, disk } = said;
  return [
    [
      name,
      server,
      timeline === undefined ? 'unknown' : String(timeline),
      replayed === undefined ? 'unknown' : formatLsn(replayed),
      replayed === undefined || end === undefined
        ? 'unknown'
        : sizeText(Number(end > replayed ? end - replayed : 0n)),
      disk === undefined ? 'unknown' : sizeText(disk.freeBytes),
      time,
    ],
  ];
}

export function sectionsOf(facts: ArchiverFacts): readonly Section[] {
  const end = valueOf(facts.written);
  const live = facts.standbys.flatMap((standby) => liveRows(standby, end));
  return [
    { title: 'This host', rows: hostRows(facts) },
    {
      title: 'Standbys',
      head: ['standby', 'state', 'queue', 'streams', 'WAL from its base backup on'],
      rows: facts.standbys.map((standby) => standbyRow(standby, end)),
    },
    {
      title: 'Standbys by their own word',
      head: ['standby', 'server', 'timeline', 'replayed to', 'behind', 'free in archivedir', 'clock'],
      rows: live,
    },
    diskSection(facts.disks),
  ];
}

type Samples = Metric['samples'];

const asNumber = (fact: Fact<boolean>): number | undefined => valueOf(derive(fact, Number));

function primaryOf({ cluster, isRunning }: ArchiverFacts): Samples {
  const seen = valueOf(cluster);
  const runs = valueOf(isRunning);
  if (seen === undefined || runs === undefined) return [];
  return [{ labels: { cluster: seen.systemIdentifier }, value: Number(runs && !seen.isInRecovery) }];
}

export function metricsOf(facts: ArchiverFacts): readonly Metric[] {
  const { standbys, disks, written, archiving, waiting, made, isRunning, isShipping, cluster } = facts;
  const statistics = valueOf(archiving)?.statistics;
  const end = valueOf(written);
  const each = (value: (standby: StandbyFacts) => number | undefined): Samples =>
    standbys.map((standby) => ({ labels: { standby: standby.name }, value: value(standby) }));
  const queue = ({ queue: fact }: StandbyFacts): Backlog | undefined => valueOf(fact);
  return [
    gauge('server_up', 'Whether PostgreSQL runs on this host.', one(asNumber(isRunning))),
    primaryMetric(primaryOf(facts)),
    timelineMetric(valueOf(cluster)?.timeline),
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
      each(({ state }) =>
        valueOf(derive(state, ({ health, gap }) => Number(health === 'ok' && gap === undefined))),
      ),
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
      'standby_replayed_bytes',
      'The end of the WAL that the standby has replayed by its own word, as bytes since 0/0.',
      each(({ live }) => {
        const replayed = valueOf(live)?.replayed;
        return replayed === undefined ? undefined : Number(replayed);
      }),
    ),
    gauge(
      'standby_archive_free_bytes',
      'The space that is free in its archivedir.',
      each(({ live }) => valueOf(live)?.disk?.freeBytes),
    ),
    clockSkewMetric(each(({ clock }) => valueOf(clock)?.skewS)),
    ...diskMetrics(disks),
  ];
}
