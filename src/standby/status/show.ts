/** The facts of cmd_standby --status as tables for people and as numbers for machines. Pure. */
import { durationText, rateText, sizeText } from '../../amounts.ts';
import { formatLsn } from '../../postgres/lsn.ts';
import { clockText } from '../../status/clocks.ts';
import { diskMetrics, diskSection } from '../../status/disks.ts';
import { derive, type Fact, factText, valueOf } from '../../status/fact.ts';
import { gauge, type Metric, one, type Section } from '../../status/report.ts';
import { clockSkewMetric, primaryMetric, timelineMetric } from '../../status/shared-metrics.ts';
import { describeLowLimit } from '../server/limits.ts';
import type { DrillFacts } from './drill.ts';
import type { Lag, StandbyFacts } from './facts.ts';
import type { LossFacts } from './loss.ts';
import type { OtherStandby } from './others.ts';
import { onlySeen } from './server.ts';

function lagText({ bytes, seconds }: Lag): string {
  if (bytes === 0) return 'none';
  return `${sizeText(bytes)}${seconds === undefined ? '' : `, at most ${durationText(seconds)}`}`;
}

function archiveRows({ archive }: StandbyFacts): string[][] {
  return [
    [
      'archive',
      factText(archive, (state) => {
        if (state.kind === 'unusable') return `cannot be used: ${state.reason}`;
        const range = state.first === undefined ? '' : `, ${state.first} to ${state.last ?? ''}`;
        const gap = state.missing === undefined ? '' : `; missing: ${state.missing}`;
        return `${state.segments} segments, ${sizeText(state.bytes)}${range}${gap}`;
      }),
    ],
  ];
}

function drillText(drill: DrillFacts | undefined): string {
  if (drill === undefined) return 'none';
  const rto = drill.rtoSeconds === undefined ? '' : `, RTO ${durationText(drill.rtoSeconds)}`;
  return `${drill.result} at ${drill.endedAt}${rto}`;
}

function hostRows(facts: StandbyFacts): string[][] {
  const { mode, version, cluster, replayed, archiveLag, streamLag, receiver, isPaused, delayS } = facts;
  return [
    ['server', `${factText(mode, (word) => word)}, PostgreSQL ${factText(version, (word) => word)}`],
    ['cluster', factText(cluster, ({ systemIdentifier }) => systemIdentifier)],
    ['timeline', factText(cluster, ({ timeline }) => String(timeline))],
    [
      'replayed to',
      factText(replayed, ({ lsn, isExact, committedAt }) => {
        const commit = committedAt === undefined ? '' : `, commit of ${committedAt}`;
        return `${isExact ? '' : 'at least '}${formatLsn(lsn)}${commit}`;
      }),
    ],
    ['not replayed, of the archive', factText(archiveLag, lagText)],
    [
      'not replayed, of the stream',
      factText(streamLag, (seen) => (seen === undefined ? 'nothing was streamed' : lagText(seen))),
    ],
    [
      'stream',
      factText(receiver, (seen) =>
        seen === undefined
          ? 'none'
          : `${seen.status}${seen.sender === undefined ? '' : ` from ${seen.sender}`}`,
      ),
    ],
    ['replay', factText(isPaused, (paused) => (paused ? 'paused' : 'not paused'))],
    ['delay', factText(delayS, (seconds) => (seconds === 0 ? 'none' : durationText(seconds)))],
    [
      "settings lower than the primary's",
      factText(facts.lowSettings, (low) =>
        low.length === 0 ? 'none is known' : low.map(describeLowLimit).join('; '),
      ),
    ],
    ...archiveRows(facts),
    [
      'base backup',
      factText(facts.backup, (seen) => {
        if (seen === undefined) return 'no record of one';
        const age = seen.ageS === undefined ? 'of unknown age' : `${durationText(seen.ageS)} old`;
        return `"${seen.label}", ${age}, ${seen.verifiedAt === undefined ? 'not verified' : `verified at ${seen.verifiedAt}`}`;
      }),
    ],
    ['last drill', factText(facts.drill, drillText)],
    ...(valueOf(facts.backupDrill) === undefined
      ? []
      : [['last drill from a new base backup', factText(facts.backupDrill, drillText)]]),
  ];
}

function lossText({ bytes, seconds, isAtMost, knownAgeS, perS }: LossFacts): string {
  const time = seconds === undefined ? '' : `, of the last ${durationText(seconds)}`;
  if (isAtMost) return bytes === 0 ? 'nothing' : `at most ${sizeText(bytes)}${time}`;
  const known = `its WAL was last known ${durationText(knownAgeS)} ago`;
  if (perS === undefined) return `at least ${sizeText(bytes)}${time}: ${known}`;
  return `about ${sizeText(bytes)}${time}: ${known}, and it wrote ${rateText(perS)}`;
}

/** A standby that does not answer may have more WAL than this host. */
function silentText({ standbys }: StandbyFacts): string {
  if (standbys.kind === 'unknown') return '; the other standbys are not known';
  const silent = (standbys.value ?? []).filter(({ answer }) => answer !== 'answered').map(({ name }) => name);
  return silent.length === 0 ? '' : `; not known: ${silent.join(', ')}`;
}

function failoverRows(facts: StandbyFacts): string[][] {
  const { failover, loss, primary } = facts;
  if (failover.kind === 'seen' && failover.value === undefined) return [];
  const shown = valueOf(failover);
  const isAlive = shown?.objections.some(({ name }) => name === 'primary-alive') === true;
  const reasons = (shown?.objections ?? []).map(({ message }) => ['', `not now: ${message}`]);
  return [
    ['primary', factText(primary, (seen) => seen?.message ?? 'this host')],
    [
      "the primary's clock",
      factText(facts.primaryClock, (seen) => (seen === undefined ? 'this one' : clockText(seen))),
    ],
    [
      'possible',
      factText(failover, (seen) => {
        if (seen?.isPossible !== true) return 'no';
        return isAlive ? 'yes, once the primary is stopped' : 'yes';
      }),
    ],
    ...(shown?.isPossible === true ? [] : reasons),
    ['would be lost', factText(loss, (seen) => (seen === undefined ? 'not known' : lossText(seen)))],
    [
      'most advanced',
      factText(failover, (seen) =>
        seen?.mostAdvanced === undefined
          ? 'not known'
          : `${seen.mostAdvanced.name}, ${formatLsn(seen.mostAdvanced.lsn)}${silentText(facts)}`,
      ),
    ],
  ];
}

function otherRow({ name, answer, reason, server, timeline, furthest, clock }: OtherStandby): string[] {
  return [
    name,
    answer === 'answered' ? (server ?? 'unknown') : answer,
    timeline === undefined ? 'unknown' : String(timeline),
    furthest === undefined ? (reason ?? 'unknown') : formatLsn(furthest),
    clock === undefined ? 'unknown' : factText(clock, clockText),
  ];
}

export function sectionsOf(facts: StandbyFacts): readonly Section[] {
  return [
    { title: 'This host', rows: hostRows(facts) },
    { title: 'Failover now', rows: failoverRows(facts) },
    {
      title: 'Other standbys',
      head: ['standby', 'server', 'timeline', 'has WAL to', 'clock'],
      rows: (valueOf(facts.standbys) ?? []).map(otherRow),
    },
    diskSection(facts.disks),
  ];
}

const asNumber = (fact: Fact<boolean>): number | undefined => valueOf(derive(fact, Number));
const lsnNumber = (lsn: bigint | undefined): number | undefined =>
  lsn === undefined ? undefined : Number(lsn);

function lagMetrics(name: string, of: string, lag: Fact<Lag | undefined>): readonly Metric[] {
  return [
    gauge(`${name}_lag_bytes`, `WAL of the ${of} that was not replayed yet.`, one(valueOf(lag)?.bytes)),
    gauge(`${name}_lag_seconds`, 'For how long at most.', one(valueOf(lag)?.seconds)),
  ];
}

/** A server that still starts may be either. */
function primaryOf({ mode, cluster }: StandbyFacts): Metric['samples'] {
  const seen = valueOf(cluster);
  const word = valueOf(mode);
  if (seen === undefined || word === undefined || word === 'starting') return [];
  return [{ labels: { cluster: seen.systemIdentifier }, value: Number(word === 'primary') }];
}

export function metricsOf(facts: StandbyFacts): readonly Metric[] {
  const { mode, cluster, replayed, receiver, isPaused, archive, backup, failover, loss, primary } = facts;
  const state = valueOf(archive);
  const contents = state?.kind === 'archive' ? state : undefined;
  const shown = valueOf(failover);
  return [
    gauge(
      'mode',
      'What the server here is: 1.',
      mode.kind === 'unknown' ? [] : [{ labels: { mode: mode.value }, value: 1 }],
    ),
    primaryMetric(primaryOf(facts)),
    timelineMetric(valueOf(cluster)?.timeline),
    gauge(
      'replayed_bytes',
      'The end of the WAL that was replayed, as bytes since 0/0.',
      one(lsnNumber(valueOf(replayed)?.lsn)),
    ),
    gauge(
      'replayed_commit_age_seconds',
      'The age of the last replayed commit.',
      one(valueOf(replayed)?.committedAgeS),
    ),
    ...lagMetrics('archive', 'archive', facts.archiveLag),
    ...lagMetrics('stream', 'stream', facts.streamLag),
    gauge(
      'streaming',
      'Whether WAL is streamed here.',
      one(
        valueOf(
          derive(receiver, (seen) =>
            seen?.status === onlySeen ? undefined : Number(seen?.status === 'streaming'),
          ),
        ),
      ),
    ),
    gauge('replay_delay_seconds', 'recovery_min_apply_delay.', one(valueOf(facts.delayS))),
    gauge('replay_paused', 'Whether the replay is paused.', one(asNumber(isPaused))),
    gauge('archive_segments', 'Segments in archivedir.', one(contents?.segments)),
    gauge('archive_bytes', 'Their size.', one(contents?.bytes)),
    gauge(
      'archive_gap',
      'Whether one is missing between them.',
      one(contents === undefined ? undefined : Number(contents.missing !== undefined)),
    ),
    gauge('backup_age_seconds', 'The age of the base backup in pgdata.', one(valueOf(backup)?.ageS)),
    gauge(
      'drill_passed',
      'Whether the last drill has passed.',
      one(
        valueOf(
          derive(facts.drill, (seen) => (seen === undefined ? undefined : Number(seen.result === 'passed'))),
        ),
      ),
    ),
    gauge(
      'backup_drill_passed',
      'Whether the last drill from a new base backup has passed.',
      one(
        valueOf(
          derive(facts.backupDrill, (seen) =>
            seen === undefined ? undefined : Number(seen.result === 'passed'),
          ),
        ),
      ),
    ),
    gauge(
      'drill_passed_age_seconds',
      'The age of the last drill that has passed.',
      one(valueOf(facts.drill)?.passedAgeS),
    ),
    gauge(
      'backup_drill_passed_age_seconds',
      'The age of the last drill from a new base backup that has passed.',
      one(valueOf(facts.backupDrill)?.passedAgeS),
    ),
    gauge(
      'drill_rto_seconds',
      'The time that the last drill took to a server that takes writes.',
      one(valueOf(facts.drill)?.rtoSeconds),
    ),
    gauge(
      'drill_rpo_bytes',
      "The primary's WAL that the copy of the last drill lacked.",
      one(valueOf(facts.drill)?.rpoBytes),
    ),
    gauge(
      'primary_up',
      'Whether the primary was seen alive.',
      one(
        valueOf(derive(primary, (seen) => (seen === undefined ? undefined : Number(seen.found === 'alive')))),
      ),
    ),
    gauge(
      'failover_possible',
      'Whether a failover is possible here, once the primary is stopped.',
      one(shown === undefined ? undefined : Number(shown.isPossible)),
    ),
    gauge('failover_loss_bytes', "The primary's WAL that is not here.", one(valueOf(loss)?.bytes)),
    gauge('failover_loss_seconds', 'The time within which it was committed.', one(valueOf(loss)?.seconds)),
    gauge(
      'standby_received_bytes',
      'The end of the WAL that the other standby has, as bytes since 0/0.',
      (valueOf(facts.standbys) ?? []).map(({ name, furthest }) => ({
        labels: { standby: name },
        value: lsnNumber(furthest),
      })),
    ),
    gauge(
      'primary_clock_skew_seconds',
      "The clock of the primary's host minus this host's.",
      one(valueOf(facts.primaryClock)?.skewS),
    ),
    clockSkewMetric(
      (valueOf(facts.standbys) ?? []).map(({ name, clock }) => ({
        labels: { standby: name },
        value: valueOf(clock)?.skewS,
      })),
    ),
    ...diskMetrics(facts.disks),
  ];
}
