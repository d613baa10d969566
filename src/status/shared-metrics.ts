/**
 * The metrics that both programs have. node_exporter may read the files of both on one host, and leaves out what has another help
 * text in each.
 */
import { gauge, type Metric, one } from './report.ts';

type Samples = Metric['samples'];

export function primaryMetric(samples: Samples): Metric {
  return gauge(
    'primary',
    'Whether the server on this host takes writes: it runs, and not as a standby.',
    samples,
  );
}

export function timelineMetric(timeline: number | undefined): Metric {
  return gauge('timeline', 'The timeline of the server on this host, by its pg_control.', one(timeline));
}

export function clockSkewMetric(samples: Samples): Metric {
  return gauge('standby_clock_skew_seconds', "The clock of the standby's host minus this host's.", samples);
}
